"""Draws what clients saw of a freeze as a picture for the README, from a real run:

    tests/bench/failover.sh --only frozen-400 --trace build/freeze
    python3 tests/bench/freeze_picture.py build/freeze.frozen-400 20 conf/pictures/freeze.svg

The second argument is the length of the run in seconds. Each bar is the slowest answer of those that were due in a
twentieth of a second; the shaded time is that in which one of three backends was stopped.
"""

import sys
from xml.sax.saxutils import escape

SHOWN = [("rondo", "rondo", "#1a7f5a"), ("nginx", "nginx", "#8a929b"), ("haproxy", "HAProxy", "#8a929b")]
BIN_US = 50000
LEFT, WIDTH, HEIGHT, GAP, TOP = 70, 640, 70, 26, 44
MOST_MS = 1100


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def slowest(path):
    """The slowest answer of each bin, in milliseconds, and how many took more than 0.9 s."""
    bins, late = {}, 0
    with open(path, encoding="ascii") as file:
        for line in file:
            due_us, took_us = map(int, line.split())
            place = due_us // BIN_US
            bins[place] = max(bins.get(place, 0), took_us / 1000)
            late += took_us > 900000
    return bins, late


def draw(name, colour, path, seconds, top):
    bins, late = slowest(path)
    scale = WIDTH * BIN_US / 1e6 / seconds
    bottom = top + HEIGHT
    parts = [f'<rect x="{LEFT + WIDTH / 4:.0f}" y="{top}" width="{WIDTH * 3 / 8:.0f}" height="{HEIGHT}" '
             f'fill="#d0473b" fill-opacity="0.12"/>',
             text(LEFT - 8, top + HEIGHT / 2 + 4, name, "end", 12, "bold")]
    for place, ms in bins.items():
        height = max(HEIGHT * min(ms, MOST_MS) / MOST_MS, 1)
        parts.append(f'<rect x="{LEFT + place * scale:.1f}" y="{bottom - height:.1f}" width="{scale:.2f}" '
                     f'height="{height:.1f}" fill="{colour}"/>')
    parts.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{LEFT + WIDTH}" y2="{bottom}" stroke="#8a929b"/>')
    words = f"slowest {max(bins.values()):.0f} ms; {late} of them took more than 0.9 s"
    parts.append(text(LEFT + WIDTH, top + 12, words, "end", 11))
    return parts


def main():
    prefix, seconds, out = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    parts = [text(LEFT, 18, "The slowest answer of each 50 ms, while one of three backends is stopped (shaded)", size=13,
                  weight="bold"),
             text(LEFT, 34, "400 requests a second, a limit of 1 s for an answer; full height is 1.1 s", size=11)]
    top = TOP
    for name, title, colour in SHOWN:
        parts += draw(title, colour, f"{prefix}.{name}", seconds, top)
        top += HEIGHT + GAP
    with open(out, "w", encoding="ascii") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {top}" '
                   f'font-family="system-ui, sans-serif" fill="#57606a">\n' + "\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    main()
