"""Does all that .github/CONTRIBUTING.md names exist?

    contributing.py ROOT BUILD      compares it with that source tree and one build of it; ctest runs it

What stands in a block of code, or in backticks with a space in it, is a command. What is looked for:

- paths: in the tree, where <floor> is any floor and x any module; those below build/NAME among the programs that
  ctest runs; those that begin with / in a source, as an endpoint of the admin
- names with an underscore: in a source
- what is passed to a script: in the folder of the script, as text or in the name of a file
- the test behind -R: among those that ctest knows; the option behind -D: in CMakeLists.txt

Links to the outside, and more than LINES lines, are faults too: it is to be read whole.
"""
import glob
import os
import re
import sys

FILE = ".github/CONTRIBUTING.md"
LINES = 120
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`]+)`")
PATH = re.compile(r"[^ ]*/[^ ]*|[^ ]+\.(md|py|sh|txt)|\.clang-format")
NAME = re.compile(r"\b[A-Za-z]+_\w+")


def read_file(name):
    with open(name, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def read_folder(folder):
    """The names and texts of all files below it."""
    found = [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]
    return "\n".join(f"{name}\n{read_file(name)}" for name in found)


def read_ctest(build):
    """What cmake has written for ctest: tests that are not built yet are there too."""
    files = glob.glob(os.path.join(build, "**", "CTestTestfile.cmake"), recursive=True)
    return "\n".join(read_file(file) for file in files)


class Guide:
    """The text, and what it is compared with. check() leaves a line in `complaints` for each fault."""

    def __init__(self, root, build, text):
        self.root = root
        self.build = os.path.abspath(build)
        self.text = text
        self.sources = "\n".join(read_folder(os.path.join(root, top)) for top in ("include", "src", "tests"))
        self.ctest = read_ctest(build)
        self.tests = re.findall(r"^add_test\(\W*(\w+)", self.ctest, re.MULTILINE)
        self.complaints = []

    def expect(self, condition, text):
        if not condition:
            self.complaints.append(f"{FILE}: {text}")

    def check(self):
        self.expect(len(self.text.splitlines()) <= LINES, f"there are more than {LINES} lines")
        self.expect(not re.search(r"https?:|\]\(", self.text), "there is a link")
        commands = [line.split("#")[0] for block in BLOCK.findall(self.text) for line in block.splitlines()]
        for quoted in QUOTED.findall(BLOCK.sub("", self.text)):
            quoted = " ".join(quoted.split())
            if " " in quoted and not quoted.startswith("struct "):
                commands += quoted.split("&&")
            elif PATH.fullmatch(quoted):
                self.check_path(quoted)
            else:
                self.check_names(quoted)
        for command in commands:
            self.check_command(command.split())
        return self.complaints

    def check_names(self, text):
        for name in NAME.findall(text):
            self.expect(re.search(rf"\b{name}", self.sources), f"no source has {name}")

    def check_path(self, path):
        if path.startswith("/"):
            self.expect(f'"{path}"' in self.sources, f"no source has {path}")
            return
        pattern = re.sub(r"\bx\.", "*.", re.sub(r"<\w+>", "*", path).replace("test_x.", "test_*."))
        found = any(glob.glob(os.path.join(self.root, place, pattern)) for place in ("", "tests/*"))
        self.expect(found, f"there is no {path}")

    def check_command(self, words):
        script = None
        for before, word in zip([""] + words, words):
            if "=" in word or before == "-R":
                self.check_argument(before, word)
            elif re.match(r"build/\w+/", word):
                program = os.path.join(self.build, *word.split("/")[2:])
                self.expect(f'"{program}"' in self.ctest, f"ctest does not run {word}")
            elif "/" in word and not word.startswith("build/"):
                self.check_path(word)
                script = word
            elif script:
                self.check_passed(os.path.dirname(script), word)

    def check_argument(self, before, word):
        if before == "-R":
            wanted = word.strip("'")
            self.expect(any(re.search(wanted, test) for test in self.tests), f"ctest has no test {wanted}")
        elif word.startswith("-DRONDO"):
            option = f"option({word[2:].split('=')[0]} "
            self.expect(option in read_file(os.path.join(self.root, "CMakeLists.txt")), f"there is no option {word}")

    def check_passed(self, folder, word):
        texts = read_folder(os.path.join(self.root, folder))
        for part in re.findall(r"(?:--)?[A-Za-z][\w-]*", word if not re.match("-[a-z]", word) else ""):
            self.expect(part in texts, f"nothing in {folder} knows {part}")


def main(root, build):
    complaints = Guide(root, build, read_file(os.path.join(root, FILE))).check()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print(f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
