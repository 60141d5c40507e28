"""Draws what clients saw of a freeze as a picture for the README, from a real run:

    tests/bench/failover.sh --only frozen-400 --trace build/freeze
    python3 tests/bench/freeze_picture.py build/freeze.frozen-400 20 conf/pictures/freeze.svg

The second argument is the length of the run in seconds. Each bar is the slowest answer of those that were due in a
twentieth of a second; the shaded time is that in which one of three backends was stopped.
"""

import sys
from xml.sax.saxutils import escape

SHOWN = [("rondo", "rondo", "ours"), ("nginx", "nginx", "peer"), ("haproxy", "HAProxy", "peer")]
STYLE = """<style>
text { fill: #24292f } .ours { stroke: #1a7f5a } .peer { stroke: #8a929b }
@media (prefers-color-scheme: dark) { text { fill: #d0d7de } .ours { stroke: #3fb98a } }
</style>"""
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


def draw(name, kind, path, seconds, top):
    bins, late = slowest(path)
    scale = WIDTH * BIN_US / 1e6 / seconds
    bottom = top + HEIGHT
    bars = "".join(f"M{LEFT + (place + 0.5) * scale:.1f} {bottom}v-{max(HEIGHT * min(ms, MOST_MS) / MOST_MS, 1):.0f}"
                   for place, ms in sorted(bins.items()))
    words = f"slowest {max(bins.values()):.0f} ms; {late} answers took more than 0.9 s"
    return [f'<rect x="{LEFT + WIDTH / 4:.0f}" y="{top}" width="{WIDTH * 3 / 8:.0f}" height="{HEIGHT}" '
            f'fill="#d0473b" fill-opacity="0.15"/>',
            text(LEFT - 8, top + HEIGHT / 2 + 4, name, "end", 12, "bold"),
            f'<path class="{kind}" stroke-width="{scale:.2f}" d="{bars}"/>',
            f'<line class="peer" x1="{LEFT}" y1="{bottom}" x2="{LEFT + WIDTH}" y2="{bottom}"/>',
            text(LEFT + WIDTH, top + 12, words, "end", 11)]


def main():
    prefix, seconds, out = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    parts = [text(LEFT, 18, "The slowest answer of each 50 ms, while one of three backends is stopped (shaded)", size=13,
                  weight="bold"),
             text(LEFT, 34, "400 requests a second, a limit of 1 s for an answer; full height is 1.1 s", size=11)]
    top = TOP
    for name, title, kind in SHOWN:
        parts += draw(title, kind, f"{prefix}.{name}", seconds, top)
        top += HEIGHT + GAP
    with open(out, "w", encoding="ascii") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {top}" '
                   f'font-family="system-ui, sans-serif">\n{STYLE}\n' + "\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    main()
