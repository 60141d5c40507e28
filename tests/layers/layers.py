"""The house has an order: a file includes only headers of floors below it, or listed above it on its own floor.

    layers.py ROOT      checks src and include of that source tree; ctest runs it as `layers`

FLOORS and ALONE below say what may know what, and nothing else does. A new module goes into FLOORS above the
first one that needs it. How a file gets its place:

- include/FLOOR/x.h, the contract of x for other floors, and src/FLOOR/x.c stand where FLOOR/x is listed. Each is
  listed, also a second body such as config/settings_suggest.c, whatever it includes first.
- src/FLOOR/x.h, a private header, is for its own floor and is included as "x.h". Everybody who includes it is
  checked as if its text stood in their own. If FLOOR/x is listed, that is its place as well.
- src/main.c is above all floors. src/rondoctl knows nothing of the house.

README.md has the same lists, with a sentence for each module.
"""
import os
import re
import sys

# From the bottom to the top.
FLOORS = {
    "base": "str table text histogram log slab buf arena",
    "event": "task timer loop net net_addr pipes resolve",
    "http": "fault host head proxy_header forwarded via upgrade auth guard parse body claim write conn",
    "upstream": "outcome latency record budget silence backend backend_describe backend_silence backend_addresses backend_bound ring verdict check checker names pool",
    "proxy": """access_line access_log queue options retry content binding reports session listener proxy attempt straggler rescue answer dispatch exchange""",
    "config": """config settings settings_suggest errors node text tokens syntax files value_lists values load_state
        backends listen check load show changes help""",
    "admin": "history metrics figures status page control request endpoints commands admin",
    "daemon": "options name_check probe_table modes passed_sockets listeners upgrade notify fd_limit daemon",
}

# Headers of libraries that one file alone may include, so that the library can be replaced there.
ALONE = {
    "sys/epoll.h": "src/event/loop.c",
    "llhttp.h": "src/http/parse.c",
    "ares.h": "src/event/resolve.c",
    "libconfig.h": "src/config/files.c",
}

COUNTS = "No One Two Three Four Five Six Seven Eight Nine Ten".split()

PUBLIC = re.compile(r"[a-z0-9_]+/[a-z0-9_]+\.h")
PRIVATE = re.compile(r"[a-z0-9_]+\.h")
FILE = re.compile(r"(src|include)/([a-z0-9_]+)/([a-z0-9_]+)\.([ch])")
COMMENT_OR_STRING = re.compile(r"""//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.DOTALL)
MAP = re.compile(r"^(?:### ([a-z]+):|- `([a-z0-9_]+)` - ).*$", re.MULTILINE)
INCLUDE = re.compile(r"^[ \t]*(?:#|%:)[ \t]*(?:include|include_next|import)\b[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def read_includes(text):
    """What a source text includes, as written: '"base/str.h"', '<errno.h>'."""
    text = COMMENT_OR_STRING.sub(lambda match: match[1] or " ", text.replace("\\\n", ""))
    return INCLUDE.findall(text)


class House:
    """One source tree. check() leaves a line in `complaints` for everything that is wrong."""

    def __init__(self, root, floors, alone):
        self.root = root
        self.alone = alone
        self.floors = floors
        modules = [f"{floor}/{name}" for floor, names in floors.items() for name in names.split()]
        self.place = {module: place for place, module in enumerate(modules)}
        self.complaints = []
        self.includes = {file: read_includes(self.read(file)) for file in self.find_files()}

    def read(self, file):
        with open(os.path.join(self.root, file), encoding="utf-8") as stream:
            return stream.read()

    def find_files(self):
        found = []
        for top in ("src", "include"):
            for folder, _, names in os.walk(os.path.join(self.root, top)):
                found += [os.path.relpath(os.path.join(folder, name), self.root)
                          for name in names if name.endswith((".c", ".h"))]
        return sorted(found)

    def complain(self, file, text):
        self.complaints.append(f"{file}: {text}")

    def check(self):
        for file in self.includes:
            self.check_forms(file)
            match = FILE.fullmatch(file)
            if is_outside(file):
                continue
            if not match or match[2] not in self.floors:
                self.complain(file, "is on no floor")
            elif match[1] == "src" and match[4] == "h":
                self.check_private_header(file)
            else:
                self.check_place(file, f"{match[2]}/{match[3]}")
        for module in self.place:
            if not any(f in self.includes for f in (f"src/{module}.c", f"src/{module}.h", f"include/{module}.h")):
                self.complain(module, "is listed, and there is no such file")
        self.check_map()
        return self.complaints

    def check_map(self):
        """The map has a heading for each floor and below it a line for each module, in this order."""
        text = self.read("README.md") if os.path.exists(os.path.join(self.root, "README.md")) else ""
        told = [match[1] or match[2] for match in MAP.finditer(text)]
        wanted = [word for floor, names in self.floors.items() for word in (floor, *names.split())]
        for one, other in zip(told + ["the end"], wanted + ["the end"]):
            if one != other:
                self.complain("README.md", f"the map has {one} in the place of {other}")
                return
        count = COUNTS[len(self.floors)]
        if f"{count} floors, each a library" not in text:
            self.complain("README.md", f"the map does not begin with: {count} floors, each a library")

    # ---- what may be written in an include

    def check_forms(self, file):
        for included in self.includes[file]:
            name, quotes = included[1:-1], included[:1] + included[-1:]
            if quotes == "<>":
                self.check_library(file, name)
            elif quotes != '""':
                self.complain(file, f"includes {included}: what that is cannot be checked")
            elif PUBLIC.fullmatch(name):
                self.check_public(file, name)
            elif not PRIVATE.fullmatch(name) or f"{os.path.dirname(file)}/{name}" not in self.includes:
                self.complain(file, f'includes "{name}", which is no header in include or beside it')
            elif file.startswith("include/"):
                self.complain(file, f'includes "{name}": others who include this file could not find it')

    def check_library(self, file, name):
        if os.path.exists(os.path.join(self.root, "include", name)):
            self.complain(file, f"includes <{name}>: a header of the house stands in quotes")
        if self.alone.get(name, file) != file:
            self.complain(file, f"includes <{name}>, which is for {self.alone[name]} alone")

    def check_public(self, file, name):
        if f"include/{name}" not in self.includes:
            self.complain(file, f'includes "{name}", which is no header in include')
        elif file.startswith("src/rondoctl/"):
            self.complain(file, f'includes "{name}": rondoctl knows nothing of the house')

    # ---- places

    def check_private_header(self, file):
        folder, name = os.path.split(file)
        if f"include/{os.path.basename(folder)}/{name}" in self.includes:
            self.complain(file, "there is a header of this name in include too")
        if not any(os.path.dirname(other) == folder and f'"{name}"' in included
                   for other, included in self.includes.items() if other != file):
            self.complain(file, "is included by nobody")
        module = file[len("src/"):-2]
        if module in self.place:
            self.check_order(file, module)

    def check_place(self, file, module):
        if module not in self.place:
            self.complain(file, f"{module} is not in the list")
            return
        if file.endswith(".c"):
            self.check_first(file, module)
        self.check_order(file, module)

    def check_first(self, file, module):
        """A header that is included first, by its own source, needs nothing to be included before it."""
        if f"include/{module}.h" in self.includes:
            own = f'"{module}.h"'
        elif f"src/{module}.h" in self.includes:
            own = f'"{os.path.basename(module)}.h"'
        else:
            return
        if self.includes[file][:1] != [own]:
            self.complain(file, f"must include {own} first")

    def check_order(self, file, module):
        """Everything that the file includes, itself or by private headers, must not be above `module`."""
        read = [(file, "")]
        seen = {file}
        for text, through in read:
            for included in self.includes[text]:
                name = included.strip('"')
                header = f"{os.path.dirname(text)}/{name}"
                if PUBLIC.fullmatch(name):
                    self.check_above(file, module, name[:-2], f'includes "{name}"{through}')
                elif PRIVATE.fullmatch(name) and header in self.includes and header not in seen:
                    seen.add(header)
                    self.check_above(file, module, header[len("src/"):-2], f'includes "{name}"{through}')
                    read.append((header, f"{through} through {header}"))

    def check_above(self, file, module, other, says):
        if self.place.get(other, -1) > self.place[module]:
            self.complain(file, f"{says}, which is above {module}")


def is_outside(file):
    return file == "src/main.c" or file.startswith("src/rondoctl/")


def main(root):
    house = House(root, FLOORS, ALONE)
    for complaint in house.check():
        print(complaint, file=sys.stderr)
    print(f"{len(house.includes)} files, {len(house.complaints)} complaints")
    return 1 if house.complaints or not house.includes else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
