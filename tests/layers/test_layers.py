"""layers.py sees what is against the order, and nothing else: small source trees, each with one thing wrong."""
import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from layers import House, main  # noqa: E402

FLOORS = {"base": "str buf", "http": "head conn conn_read", "daemon": "notify daemon"}
ALONE = {"llhttp.h": "src/http/head.c"}

MAP = """## A map of the source
Three floors, each a library.
### base: text
- `str` - slices
- `buf` - buffers
### http: messages
- `head` - a head
- `conn` - a connection
- `conn_read` - how it reads
### daemon: all
- `notify` - tells systemd
- `daemon` - wires

- whatever else
"""

GOOD = {
    "README.md": MAP,
    "include/base/str.h": "#include <stddef.h>\n",
    "src/base/str.c": '#include "base/str.h"\n',
    "include/base/buf.h": '#include "base/str.h"\n',
    "src/base/buf.c": '#include "base/buf.h"\n#include <errno.h>\n',
    "include/http/head.h": '#include "base/str.h"\n',
    "src/http/head.c": '#include "http/head.h"\n#include <llhttp.h>\n',
    "include/http/conn.h": '#include "base/buf.h"\n',
    "src/http/conn_impl.h": '#include "http/conn.h"\n',
    "src/http/conn.c": '#include "http/conn.h"\n\n#include "conn_impl.h"\n',
    "src/http/conn_read.c": '#include "conn_impl.h"\n#include "http/head.h"\n',
    "src/daemon/notify.h": '#include "base/str.h"\n',
    "src/daemon/notify.c": '#include "notify.h"\n',
    "include/daemon/daemon.h": "",
    "src/daemon/daemon.c": '#include "daemon/daemon.h"\n#include "notify.h"\n#include "http/conn.h"\n',
    "src/main.c": '#include "daemon/daemon.h"\n',
    "src/rondoctl/show.h": "",
    "src/rondoctl/main.c": '#include "show.h"\n#include <jansson.h>\n',
}


def check(changes):
    """The complaints about the good tree with these files added to it; None takes one away."""
    with tempfile.TemporaryDirectory() as root:
        for file, text in (GOOD | changes).items():
            if text is not None:
                os.makedirs(os.path.join(root, os.path.dirname(file)), exist_ok=True)
                with open(os.path.join(root, file), "w", encoding="utf-8") as stream:
                    stream.write(text)
        return House(root, FLOORS, ALONE).check()


class Layers(unittest.TestCase):
    def expect(self, changes, *complaints):
        self.assertEqual(check(changes), list(complaints))

    def test_a_tree_in_order_is_good(self):
        self.expect({})

    def test_a_tree_without_files_is_not_good(self):
        with tempfile.TemporaryDirectory() as root, contextlib.redirect_stderr(io.StringIO()) as said, \
                contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(main(root), 1)
        self.assertIn("base/str: is listed, and there is no such file", said.getvalue())

    # ---- upwards

    def test_a_header_of_a_floor_above(self):
        self.expect({"include/base/buf.h": '#include "daemon/daemon.h"\n'},
                    'include/base/buf.h: includes "daemon/daemon.h", which is above base/buf')

    def test_a_header_of_a_floor_above_in_a_source(self):
        self.expect({"src/base/buf.c": '#include "base/buf.h"\n#include "http/head.h"\n'},
                    'src/base/buf.c: includes "http/head.h", which is above base/buf')

    def test_a_header_listed_later_on_the_same_floor(self):
        self.expect({"src/http/head.c": '#include "http/head.h"\n#include "http/conn.h"\n'},
                    'src/http/head.c: includes "http/conn.h", which is above http/head')

    def test_two_headers_that_include_each_other(self):
        self.expect({"include/base/str.h": '#include "base/buf.h"\n'},
                    'include/base/str.h: includes "base/buf.h", which is above base/str')

    def test_a_private_header_that_includes_a_floor_above(self):
        self.expect({"src/base/buf_impl.h": '#include "daemon/daemon.h"\n',
                     "src/base/buf.c": '#include "base/buf.h"\n#include "buf_impl.h"\n'},
                    'src/base/buf.c: includes "daemon/daemon.h" through src/base/buf_impl.h, which is above base/buf')

    def test_a_private_header_that_is_included_first_and_includes_a_floor_above(self):
        self.expect({"src/http/read_impl.h": '#include "daemon/daemon.h"\n',
                     "src/http/conn_read.c": '#include "read_impl.h"\n#include "http/conn.h"\n'},
                    'src/http/conn_read.c: includes "daemon/daemon.h" through src/http/read_impl.h, '
                    'which is above http/conn_read')

    def test_a_private_header_that_reaches_a_floor_above_by_another_one(self):
        self.expect({"src/base/one.h": '#include "two.h"\n',
                     "src/base/two.h": '#include "one.h"\n#include "http/head.h"\n',
                     "src/base/buf.c": '#include "base/buf.h"\n#include "one.h"\n'},
                    'src/base/buf.c: includes "http/head.h" through src/base/one.h through src/base/two.h, '
                    'which is above base/buf')

    def test_a_private_header_is_good_for_one_who_includes_it_and_not_for_another(self):
        self.expect({"src/http/head.c": '#include "http/head.h"\n#include "conn_impl.h"\n'},
                    'src/http/head.c: includes "http/conn.h" through src/http/conn_impl.h, which is above http/head')

    def test_a_private_header_of_a_module_that_is_listed_later(self):
        self.expect({"src/http/conn_read.h": "",
                     "src/http/conn_read.c": '#include "conn_read.h"\n#include "conn_impl.h"\n',
                     "src/http/head.c": '#include "http/head.h"\n#include "conn_read.h"\n'},
                    'src/http/head.c: includes "conn_read.h", which is above http/head')

    def test_a_private_header_that_includes_one_of_a_module_that_is_listed_later(self):
        self.expect({"src/http/conn_read.h": '#include "late.h"\n', "src/http/late.h": '#include "daemon/daemon.h"\n',
                     "src/http/conn_read.c": '#include "conn_read.h"\n'},
                    'src/http/conn_read.c: includes "daemon/daemon.h" through src/http/conn_read.h through '
                    'src/http/late.h, which is above http/conn_read',
                    'src/http/conn_read.h: includes "daemon/daemon.h" through src/http/late.h, '
                    'which is above http/conn_read')

    def test_a_private_header_that_is_listed_and_has_no_source(self):
        self.expect({"src/http/conn_read.h": '#include "daemon/daemon.h"\n', "src/http/conn_read.c": None,
                     "src/http/conn_impl.h": '#include "conn_read.h"\n'},
                    'src/http/conn.c: includes "conn_read.h" through src/http/conn_impl.h, which is above http/conn',
                    'src/http/conn.c: includes "daemon/daemon.h" through src/http/conn_impl.h through '
                    'src/http/conn_read.h, which is above http/conn',
                    'src/http/conn_read.h: includes "daemon/daemon.h", which is above http/conn_read')

    # ---- places

    def test_a_source_that_would_take_its_place_from_its_first_include(self):
        self.expect({"src/base/other.c": '#include "daemon/daemon.h"\n'},
                    "src/base/other.c: base/other is not in the list")

    def test_a_source_that_would_take_the_place_of_a_header_on_its_floor(self):
        self.expect({"src/http/other.c": '#include "http/conn.h"\n'},
                    "src/http/other.c: http/other is not in the list")

    def test_a_second_body_stands_at_its_own_name(self):
        self.expect({"src/http/conn_read.c": '#include "http/head.h"\n#include "daemon/daemon.h"\n'},
                    'src/http/conn_read.c: includes "daemon/daemon.h", which is above http/conn_read')

    def test_a_header_that_is_not_listed(self):
        self.expect({"include/base/other.h": ""}, "include/base/other.h: base/other is not in the list")

    def test_a_file_on_no_floor(self):
        self.expect({"src/util/text.c": "", "src/http/inner/text.c": ""},
                    "src/http/inner/text.c: is on no floor", "src/util/text.c: is on no floor")

    def test_a_name_in_the_list_without_a_file(self):
        self.expect({"src/http/conn_read.c": None}, "http/conn_read: is listed, and there is no such file")

    def test_a_source_does_not_include_its_own_header_first(self):
        self.expect({"src/http/head.c": '#include "base/str.h"\n#include "http/head.h"\n',
                     "src/daemon/notify.c": '#include <errno.h>\n#include "notify.h"\n'},
                    'src/daemon/notify.c: must include "notify.h" first',
                    'src/http/head.c: must include "http/head.h" first')

    def test_a_private_header_that_nobody_includes(self):
        self.expect({"src/base/buf_impl.h": ""}, "src/base/buf_impl.h: is included by nobody")

    def test_a_private_header_beside_a_public_one_of_its_name(self):
        self.expect({"src/http/head.h": "", "src/http/head.c": '#include "http/head.h"\n#include "head.h"\n'},
                    "src/http/head.h: there is a header of this name in include too")

    # ---- what is written in an include

    def test_a_header_of_the_house_in_angle_brackets(self):
        self.expect({"src/base/buf.c": '#include "base/buf.h"\n#include <daemon/daemon.h>\n'},
                    "src/base/buf.c: includes <daemon/daemon.h>: a header of the house stands in quotes")

    def test_a_header_by_another_path(self):
        self.expect({"src/base/buf.c": '#include "base/buf.h"\n#include "../http/conn_impl.h"\n'},
                    'src/base/buf.c: includes "../http/conn_impl.h", which is no header in include or beside it')

    def test_a_source_that_is_included(self):
        self.expect({"src/base/buf.c": '#include "base/buf.h"\n#include "str.c"\n'},
                    'src/base/buf.c: includes "str.c", which is no header in include or beside it')

    def test_a_private_header_of_another_floor(self):
        self.expect({"src/base/buf.c": '#include "base/buf.h"\n#include "notify.h"\n#include "daemon/notify.h"\n'},
                    'src/base/buf.c: includes "notify.h", which is no header in include or beside it',
                    'src/base/buf.c: includes "daemon/notify.h", which is no header in include',
                    'src/base/buf.c: includes "daemon/notify.h", which is above base/buf')

    def test_a_private_header_in_a_public_one(self):
        self.expect({"include/http/conn.h": '#include "conn_impl.h"\n', "include/http/conn_impl.h": ""},
                    'include/http/conn.h: includes "conn_impl.h": others who include this file could not find it',
                    "include/http/conn_impl.h: http/conn_impl is not in the list",
                    "src/http/conn_impl.h: there is a header of this name in include too")

    def test_an_include_that_is_computed(self):
        self.expect({"src/base/buf.c": '#include "base/buf.h"\n#define THAT "daemon/daemon.h"\n#include THAT\n'},
                    "src/base/buf.c: includes THAT: what that is cannot be checked")

    def test_an_include_in_disguise(self):
        above = 'src/base/buf.c: includes "http/head.h", which is above base/buf'
        for line in ('#  include   "http/head.h"', '\t# include"http/head.h" /* x */', '/* x */ #include "http/head.h"',
                     '#inc\\\nlude "http/head.h"', '#/**/include "http/head.h"', '%:include "http/head.h"',
                     '#import "http/head.h"', '#include_next "http/head.h"', 'char c = \'"\';\n#include "http/head.h"',
                     'char *s = "/*";\n#include "http/head.h"\n/* */'):
            with self.subTest(line):
                self.expect({"src/base/buf.c": f'#include "base/buf.h"\n{line}\n'}, above)

    def test_what_is_no_include(self):
        for line in ('/* #include "http/head.h" */', '// #include "http/head.h"', '/*\n#include "http/head.h"\n*/',
                     'char *s = "//";', '#define include_it'):
            with self.subTest(line):
                self.expect({"src/base/buf.c": f'#include "base/buf.h"\n{line}\n'})

    def test_a_library_that_is_for_one_file_alone(self):
        self.expect({"src/http/conn_impl.h": '#include "http/conn.h"\n#include <llhttp.h>\n'},
                    "src/http/conn_impl.h: includes <llhttp.h>, which is for src/http/head.c alone")

    # ---- the map in the README

    def test_a_module_that_is_missing_in_the_map(self):
        self.expect({"README.md": MAP.replace("- `conn` - a connection\n", "")},
                    "README.md: the map has conn_read in the place of conn")

    def test_a_module_that_is_missing_at_the_end_of_the_map(self):
        self.expect({"README.md": MAP.replace("- `daemon` - wires\n", "")},
                    "README.md: the map has the end in the place of daemon")

    def test_a_line_of_the_map_without_a_module(self):
        self.expect({"README.md": MAP + "- `more` - of it\n"}, "README.md: the map has more in the place of the end")

    def test_a_floor_of_the_map_in_another_place(self):
        self.expect({"README.md": MAP.replace("### http", "### html")},
                    "README.md: the map has html in the place of http")

    def test_a_count_of_floors_that_is_wrong(self):
        self.expect({"README.md": MAP.replace("Three", "Eight")},
                    "README.md: the map does not begin with: Three floors, each a library")

    def test_a_readme_that_is_missing(self):
        self.expect({"README.md": None}, "README.md: the map has the end in the place of base")

    # ---- beside the floors

    def test_main_knows_public_headers_only(self):
        self.expect({"src/main.c": '#include "daemon/notify.h"\n'},
                    'src/main.c: includes "daemon/notify.h", which is no header in include')

    def test_rondoctl_knows_nothing_of_the_house(self):
        self.expect({"src/rondoctl/main.c": '#include "show.h"\n#include "base/str.h"\n'},
                    'src/rondoctl/main.c: includes "base/str.h": rondoctl knows nothing of the house')


if __name__ == "__main__":
    unittest.main()
