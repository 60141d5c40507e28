"""Does contributing.py see what is not there? Each text is compared with a small tree."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from contributing import FILE, Guide  # noqa: E402

TREE = {
    "CMakeLists.txt": 'option(RONDO_SANITIZE "" OFF)\n',
    "include/base/str.h": "bool str_equals(struct str a, struct str b);\n",
    "src/admin/page.c": '"/metrics"\n',
    "tests/unit/base/test_str.c": "",
    "tests/bench/run.sh": "# run.sh --quick --only 64k --rondo BINARY\n",
    "tests/bench/speed.py": "WORKLOADS = ['latency']\n",
    "build/CTestTestfile.cmake": "",
    "build/tests/CTestTestfile.cmake": 'add_test([=[base_str]=] "BUILD/tests/test_base_str")\n',
}
GOOD = [
    "`include/base/str.h`, `str.c` and `tests/unit/<floor>/test_x.c`, `struct str`",
    "`str_equals` and `/metrics`",
    "`cmake -DRONDO_SANITIZE=ON && build/asan/tests/test_base_str write`",
    "```\ncmake --build build/asan\nctest --test-dir build/asan -R '^base_' -V   # and this is no-command\n```",
    "```\ntests/bench/run.sh --quick --only latency,20 -j4 --rondo A=../nowhere/rondo\n```",
]
BAD = [
    ("`include/base/buf.h`", "there is no include/base/buf.h"),
    ("`tests/unit/<floor>/check_x.c`", "there is no tests/unit/<floor>/check_x.c"),
    ("`str_compare`", "no source has str_compare"),
    ("`struct str_list`", "no source has str_list"),
    ("`/status.json`", "no source has /status.json"),
    ("```\nbuild/asan/tests/test_base_buf\n```", "ctest does not run build/asan/tests/test_base_buf"),
    ("```\nctest -R http\n```", "ctest has no test http"),
    ("`cmake -DRONDO_TRACE=ON`", "there is no option -DRONDO_TRACE=ON"),
    ("```\ntests/bench/race.sh\n```", "there is no tests/bench/race.sh"),
    ("```\ntests/bench/run.sh --slow\n```", "nothing in tests/bench knows --slow"),
    ("```\npython3 tests/bench/speed.py latency,memory\n```", "nothing in tests/bench knows memory"),
    ("https://example.org/", "there is a link"),
    ("[the map](README.md)", "there is a link"),
    ("\n" * 121, "there are more than 120 lines"),
]


class Contributing(unittest.TestCase):
    def setUp(self):
        tree = tempfile.TemporaryDirectory()
        self.addCleanup(tree.cleanup)
        self.root = tree.name
        for name, text in TREE.items():
            path = os.path.join(self.root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("BUILD", os.path.join(self.root, "build")))

    def complaints(self, text):
        return Guide(self.root, os.path.join(self.root, "build"), text).check()

    def test_what_is_there(self):
        for text in GOOD:
            with self.subTest(text):
                self.assertEqual(self.complaints(text), [])

    def test_what_is_not_there(self):
        for text, complaint in BAD:
            with self.subTest(text):
                self.assertEqual(self.complaints(text), [f"{FILE}: {complaint}"])


if __name__ == "__main__":
    unittest.main()
