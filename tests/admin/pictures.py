#!/usr/bin/env python3
"""pictures.py RONDO [DIRECTORY] - the pictures of README.md, from a real run: the page, and rondoctl top.

Three backends under load, of which one fails every other request and one is ended. Needs chromium and
chromium-driver. Writes page-light.png, page-dark.png and top.svg, into conf/pictures when nothing else is said.
"""

import html
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import browser  # noqa: E402
from place import Place, resize  # noqa: E402
from ports import free_port  # noqa: E402
from rondo import binary_from_arguments  # noqa: E402
from waiting import wait_until  # noqa: E402

BINARY = binary_from_arguments(__doc__)
MOCKS = os.path.join(os.path.dirname(BINARY), "mock_backends")
TO = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "..", "conf", "pictures")
WIDTH, HEIGHT = 132, 24
CELL = 8.43  # width of a character
COLOURS = {"31": "#ff7b66", "32": "#45c9a5", "33": "#e5b546"}


def mock(name, *arguments):
    return subprocess.Popen([os.path.join(MOCKS, name), *arguments], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def last_frame(place, seconds):
    """What `rondoctl top` shows after a while."""
    pid, fd = place.top()
    resize(fd, HEIGHT, WIDTH)
    seen, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        seen += os.read(fd, 65536)
    os.write(fd, b"q")
    while b"\x1b[?1049l" not in seen:
        seen += os.read(fd, 65536)
    os.waitpid(pid, 0)
    os.close(fd)
    frames = [frame for frame in seen.decode().split("\x1b[H") if "\x1b[J" in frame]
    return frames[-1].split("\x1b[J")[0].split("\r\n")


def draw_line(line, row):
    """A line of a terminal as SVG: each run of one colour is an element at its column."""
    parts, column, fill, weight, opacity = [], 0, "#e6ebea", "400", "1"
    for piece in re.split(r"(\x1b\[[0-9;]*[mK])", line):
        code = re.fullmatch(r"\x1b\[([0-9]*)m", piece)
        if code:
            fill = COLOURS.get(code[1], "#e6ebea" if code[1] == "0" else fill)
            weight = {"0": "400", "1": "700"}.get(code[1], weight)
            opacity = {"0": "1", "2": "0.6"}.get(code[1], opacity)
        elif piece and not piece.startswith("\x1b"):
            for word in re.finditer(r"\S+(?: \S+)*", piece):
                parts.append(f'<text x="{16 + (column + word.start()) * CELL:.1f}" y="{30 + row * 18}" fill="{fill}" '
                             f'font-weight="{weight}" opacity="{opacity}" '
                             f'textLength="{len(word[0]) * CELL:.1f}">{html.escape(word[0])}</text>')
            column += len(piece)
    return "".join(parts)


def write_svg(lines, path):
    while lines and not re.sub(r"\x1b\[[0-9;]*[mK]", "", lines[-1]).strip():
        lines.pop()
    width, height = int(32 + WIDTH * CELL), 34 + len(lines) * 18
    with open(path, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                  f'height="{height}" font-family="ui-monospace, DejaVu Sans Mono, monospace" font-size="14">'
                  f'<rect width="100%" height="100%" rx="10" fill="#12171a"/>\n')
        out.write("\n".join(draw_line(line, row) for row, line in enumerate(lines) if line))
        out.write("\n</svg>\n")


def main():
    if browser.missing():
        raise SystemExit(f"{browser.missing()} is not installed")
    os.makedirs(TO, exist_ok=True)
    ports = [free_port() for _ in range(4)]
    names = ["app1", "app2", "app3", "app4"]
    backends = ", ".join(f'{{ url = "http://127.0.0.1:{port}"; name = "{name}"; }}'
                         for port, name in zip(ports, names))
    mocks = [mock("app", "--port", str(ports[0])), mock("alterfailed", "--port", str(ports[1])),
             mock("app", "--port", str(ports[2])), mock("app", "--port", str(ports[3]))]
    text = f'backends = ( {backends} );\nretry_window = "20s";\n'
    try:
        with Place(BINARY, [], config_text=text) as place:
            load = mock("load", "--url", f"http://127.0.0.1:{place.rondo.port}/", "--rate", "180",
                        "--duration", "300s")
            mocks.append(load)
            pages = [browser.Browser(), browser.Browser(dark=True)]
            for page in pages:
                page.open(f"http://127.0.0.1:{place.admin_port}/")
            time.sleep(25)
            mocks[2].kill()
            place.rondoctl("weight", "app1", "2")
            wait_until("one is down", lambda: place.backend("app3")["state"] == "down")
            time.sleep(4)
            for page, name in zip(pages, ("light", "dark")):
                page.picture(os.path.join(TO, f"page-{name}.png"))
                page.close()
            write_svg(last_frame(place, 12), os.path.join(TO, "top.svg"))
            load.kill()
    finally:
        for process in mocks:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
