"""The count of what held, as a caller of a test program reads it: the last line is "N passed, N failed"."""

import traceback


class Skip(Exception):
    """The machine does not allow, or does not have, what the test needs."""


class Report:
    """Counts checks, tells of those that failed, and ends with the one line a caller reads."""

    def __init__(self, quiet=True):
        self.passed = 0
        self.failed = 0
        self.quiet = quiet

    def ok(self, name):
        self.passed += 1
        if not self.quiet:
            print(f"ok      {name}", flush=True)

    def fail(self, name, why):
        self.failed += 1
        print(f"FAILED  {name}: {why}", flush=True)

    def check(self, name, why):
        """`why` is empty when all is well."""
        if why:
            self.fail(name, why)
        else:
            self.ok(name)
        return not why

    def skip(self, name, why):
        print(f"skipped {name}: {why}", flush=True)

    def run(self, test, *arguments):
        """One check that is a function: it passes unless it raises. False when it has failed."""
        name = test.__name__.removeprefix("test_").removeprefix("step_").replace("_", " ")
        try:
            test(*arguments)
        except Skip as reason:
            self.skip(name, reason)
        except Exception:  # pylint: disable=broad-except
            self.fail(name, traceback.format_exc())
            return False
        else:
            self.ok(name)
        return True

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0
