"""What rondo.conf(5) promises, against the program: its metrics, its examples, and how both look when they are rendered.

    test_manual.py RONDO            compares; ctest runs it
    test_manual.py RONDO write      writes the list of metrics between the two marks of the manual
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from clients import ask  # noqa: E402
from ports import free_port  # noqa: E402
from report import Report, Skip  # noqa: E402
from rondo import Rondo  # noqa: E402

MANUAL = os.path.join(ROOT, "conf", "rondo.conf.5")
BEGIN, END = '.\\" BEGIN METRICS\n', '.\\" END METRICS\n'


def read_manual():
    with open(MANUAL, encoding="ascii") as file:
        return file.read()


def split_manual():
    """What stands before the list of metrics, the list, and what follows."""
    before, rest = read_manual().split(BEGIN)
    return (before + BEGIN, *rest.split(END))


def list_metrics(binary):
    """The list, as /metrics tells of itself."""
    port = free_port()
    with Rondo(binary, ["http://127.0.0.1:1"], [f"admin.http=127.0.0.1:{port}"]):
        text = ask(port, "/metrics", host="127.0.0.1")[2].decode("ascii")
    told = re.findall(r"^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$", text, re.MULTILINE)
    assert told, text
    lines = ["Those that begin with process_ are the usual ones.\n.Bl -tag -width Ds\n"]
    for name, purpose, kind in told:
        if not name.startswith("process_"):
            lines.append(f".It Cm {name}\n.Pq {kind}\n{purpose}\n")
    return "".join(lines) + ".El\n"


def render():
    """The manual as a reader on a terminal has it, without emphasis."""
    if shutil.which("mandoc"):
        command = ["mandoc", "-T", "utf8", "-O", "width=200", MANUAL]
    elif shutil.which("groff"):
        command = ["groff", "-mdoc", "-T", "utf8", "-rLL=200n", "-P-c", MANUAL]
    else:
        raise Skip("neither mandoc nor groff is installed")
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    return re.sub(".\b", "", text)


def test_metrics_are_those_of_the_program(binary):
    _, list_, _ = split_manual()
    wanted = list_metrics(binary)
    assert list_ == wanted, f"write it with: python3 {sys.argv[0]} {sys.argv[1]} write"


def test_examples_can_be_copied_from_a_terminal(binary):
    text = render()
    examples = re.findall(r"^ {8,}(backends = \(.*\);)$", text[text.index("\nEXAMPLES"):], re.MULTILINE)
    examples += ["backends = (\n" + "".join(lines) + ");" for lines in
                 re.findall(r"^ +backends = \(\n((?:.*\n)+?) +\);$", text, re.MULTILINE)]
    assert len(examples) == 3, text
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        for example in examples:
            assert not re.search(r'\( ?"\S+" \)|\("', example), f"blanks have gone: {example}"
            file.seek(0)
            file.truncate()
            file.write(example)
            file.flush()
            done = subprocess.run([binary, "-t", "-c", file.name], capture_output=True, text=True, check=False)
            assert done.returncode == 0, example + done.stderr


def test_values_are_quoted_as_they_are_written(_):
    wrong = re.findall("[“”].*", render())
    assert not wrong, wrong


def test_what_an_operator_looks_for_is_there(_):
    text = render()
    for heading in ("HOW FAILURES ARE JUDGED", "   Silence and rescue", "   The waiting room", "METRICS", "FILES"):
        assert f"\n{heading}\n" in text, heading
    assert "/etc/default/rondo" in text


def main():
    binary = os.path.abspath(sys.argv[1])
    if sys.argv[2:] == ["write"]:
        before, _, after = split_manual()
        text = before + list_metrics(binary) + END + after
        with open(MANUAL, "w", encoding="ascii") as file:
            file.write(text)
        return 0
    report = Report()
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            report.run(test, binary)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
