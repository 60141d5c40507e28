#!/usr/bin/env python3
"""Does the simulator see what it is there for? Plants each bug of planted.txt into a copy of the sources,
builds the simulator and lets it run until it fails, for at most $REQUESTS requests (1,000,000).

    planted.py [NAME...]     all, or those whose name contains one of the words
    planted.py --check       only looks whether the bugs still fit the sources

Prints a line for each: the bug, the property that broke, and after how many requests. The last line is
"N passed, N failed"; status 0 when every bug was caught and the sources as they are break nothing.
CMAKE_ARGS are passed on to cmake.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "planted.txt")
NEEDED = ("CMakeLists.txt", "include", "src", "conf", "mock_backends", "tests")
BROKE = re.compile(r"^seed \d+, after (\d+) requests, at \d+ us: ([^:\n]*)", re.MULTILINE)


class Stale(Exception):
    """A bug that does not fit the sources; says why."""


class Edit:
    def __init__(self, file):
        self.file = file
        self.old = []
        self.new = None

    def texts(self):
        """The old and the new text, as two strings without the indentation of the table."""
        return [textwrap.dedent("\n".join(lines)).strip() for lines in (self.old, self.new or [])]


class Bug:
    def __init__(self, name, sentence):
        self.name = name
        self.sentence = sentence
        self.edits = []


def read_table(path):
    """The bugs of the table in their order; its format is told at its top."""
    bugs = []
    with open(path, encoding="utf-8") as table:
        for number, line in enumerate(table, 1):
            line = line.rstrip()
            edit = bugs[-1].edits[-1] if bugs and bugs[-1].edits else None
            heading = re.fullmatch(r"(\S+): (.+)", line)
            if line.startswith("#") or (not line and not edit):
                continue
            if not line or line[0].isspace():
                if not edit:
                    sys.exit(f"{path}:{number}: code before its file")
                (edit.old if edit.new is None else edit.new).append(line)
            elif line.startswith("in ") and bugs:
                bugs[-1].edits.append(Edit(line[3:]))
            elif line == "becomes" and edit and edit.new is None:
                edit.new = []
            elif heading:
                bugs.append(Bug(*heading.groups()))
            else:
                sys.exit(f"{path}:{number}: neither a bug, nor 'in FILE', nor 'becomes', nor indented code")
    return bugs


class Sources:
    """The files of src and include in a tree, read once."""

    def __init__(self, tree):
        self.tree = tree
        self.texts = {}
        self.paths = [
            os.path.relpath(os.path.join(folder, file), tree)
            for top in ("src", "include")
            for folder, _, files in os.walk(os.path.join(tree, top))
            for file in files
        ]

    def find(self, name):
        """The path of the one file whose path ends with the name."""
        paths = [path for path in self.paths if f"/{path}".endswith(f"/{name}")]
        if len(paths) != 1:
            raise Stale(f"{name} is the name of {len(paths)} files")
        return paths[0]

    def text(self, path):
        if path not in self.texts:
            with open(os.path.join(self.tree, path), encoding="utf-8") as file:
                self.texts[path] = file.read()
        return self.texts[path]


def pattern(code):
    """Finds the code however it is broken into lines: blanks count only between two words."""
    tokens = re.findall(r"\w+|[^\w\s]", code)
    parts = []
    for before, token in zip([""] + tokens, tokens):
        if before:
            parts.append(r"\s+" if re.match(r"\w", before[-1]) and re.match(r"\w", token) else r"\s*")
        parts.append(rf"\b{token}\b" if re.match(r"\w", token) else re.escape(token))
    return re.compile("".join(parts))


def replace(text, edit):
    """The text with the edit made; its lines are indented like the place where it goes."""
    old, new = edit.texts()
    if not old or edit.new is None:
        raise Stale(f"an edit of {edit.file} lacks its old text or 'becomes'")
    places = list(pattern(old).finditer(text))
    if len(places) != 1:
        raise Stale(f"the old text occurs {len(places)} times in {edit.file}: {old.splitlines()[0]}")
    begin, end = places[0].span()
    indent = re.match(r"\s*", text[text.rfind("\n", 0, begin) + 1 : begin]).group()
    changed = text[:begin] + new.replace("\n", "\n" + indent) + text[end:]
    if changed.split() == text.split():
        raise Stale(f"an edit of {edit.file} changes nothing: {old.splitlines()[0]}")
    return changed


def planted(bug, sources):
    """What the bug makes of the files: a new text for each path."""
    if not bug.edits:
        raise Stale("it has no edit")
    texts = {}
    for edit in bug.edits:
        path = sources.find(edit.file)
        texts[path] = replace(texts.get(path, sources.text(path)), edit)
    return texts


def check(bugs):
    """How many bugs do not fit the sources; prints each."""
    sources = Sources(ROOT)
    names = [bug.name for bug in bugs]
    failed = 0
    for bug in bugs:
        try:
            if names.count(bug.name) > 1:
                raise Stale("it has the name of another")
            planted(bug, sources)
        except Stale as reason:
            print(f"STALE   {bug.name}: {reason}")
            failed += 1
    return failed


class Simulator:
    """The simulator of a copy of the sources."""

    def __init__(self, work):
        self.tree = os.path.join(work, "tree")
        self.build = os.path.join(work, "build")
        self.requests = os.environ.get("REQUESTS") or "1000000"
        os.mkdir(self.tree)
        for name in NEEDED:
            source, target = os.path.join(ROOT, name), os.path.join(self.tree, name)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
        # The table keeps the depth of the first line of a bug, and no other.
        options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS=-Wno-misleading-indentation", *shlex.split(os.environ.get("CMAKE_ARGS", ""))]
        status, log = self.call("cmake", "-S", self.tree, "-B", self.build, *options)
        if status != 0:
            sys.exit(log)
        self.sources = Sources(self.tree)

    @staticmethod
    def call(*command):
        """The status of the command and all that it printed."""
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
            env={**os.environ, "LC_ALL": "C"}, check=False,
        )
        return done.returncode, done.stdout

    def write(self, texts):
        for path, text in texts.items():
            with open(os.path.join(self.tree, path), "w", encoding="utf-8") as file:
                file.write(text)

    def run(self):
        """How the sources in the tree do: (verdict, property or error, requests)."""
        status, log = self.call("ninja", "-C", self.build, "sim")
        if status != 0:
            error = [line for line in log.splitlines() if "error:" in line]
            return "BROKEN", error[0] if error else "it does not build", "-"
        program = os.path.join(self.build, "tests", "sim", "sim")
        status, log = self.call(program, "--requests", self.requests)
        if status == 0:
            return "MISSED", "every property held", self.requests
        broke = BROKE.search(log)
        if broke:
            return "caught", broke.group(2), broke.group(1)
        return "caught", (log.splitlines() or [f"status {status}"])[-1], "-"

    def plant(self, bug):
        """As run, with the bug in the tree for so long."""
        try:
            texts = planted(bug, self.sources)
        except Stale as reason:
            return "STALE", str(reason), "-"
        self.write(texts)
        result = self.run()
        self.write({path: self.sources.text(path) for path in texts})
        return result


def report(verdict, bug, prop, requests):
    print(f"{verdict:<6}  {bug:<82}  {prop:<58}  {requests:>9}", flush=True)


def plant_all(bugs):
    """How many bugs were not caught; prints each."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="rondo-planted.") as work:
        simulator = Simulator(work)
        verdict, prop, requests = simulator.run()
        if verdict != "MISSED":
            sys.exit(f"the sources as they are do not pass: {prop}, {requests}")
        report("", "bug", "caught by", "after")
        for bug in bugs:
            verdict, prop, requests = simulator.plant(bug)
            report(verdict, bug.sentence, prop, requests)
            failed += verdict != "caught"
    return failed


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    words = sys.argv[1:]
    bugs = read_table(TABLE)
    if words == ["--check"]:
        failed = check(bugs)
    else:
        bugs = [bug for bug in bugs if not words or any(word in bug.name for word in words)]
        if not bugs:
            sys.exit("no bug has such a name")
        failed = plant_all(bugs)
    print(f"{len(bugs) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
