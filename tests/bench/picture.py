"""Draws results.json of a benchmark as a picture for the README: bars of cost, relative to the floor's."""

import json
import sys
from xml.sax.saxutils import escape

SHOWN = ["small", "browser", "new", "16k", "64k", "1m", "16m", "64k-chunked", "post-64k", "memory"]
COLOURS = {"rondo": "#1a7f5a", "nginx": "#b9bec5", "haproxy": "#7d8590", "haproxy-splice": "#4f5763"}
NAMES = {"haproxy": "HAProxy", "haproxy-splice": "HAProxy, splice-auto"}
LEFT, WIDTH, BAR, GAP, TOP = 190, 460, 12, 16, 64


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def amount(value, unit):
    if unit == "us" and value >= 1000:
        return f"{value / 1000:.1f} ms"
    return f"{value:.0f} us" if unit == "us" else f"{value:.2f} {unit}"


def draw_row(row, names, y):
    """The longest bar fills the width: lengths compare within a row only."""
    parts = [text(LEFT - 10, y + BAR, row["label"], "end", 12, "bold")]
    cells = {name: row["cells"][name]["value"] for name in names if name in row["cells"]}
    floor = row["cells"].get("floor")
    longest = max(*cells.values(), floor["value"] if floor else 0, 1e-9)
    for name, value in cells.items():
        length = max(WIDTH * value / longest, 1)
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" rx="2" '
                     f'fill="{COLOURS.get(name, "#1a7f5a")}"/>')
        parts.append(text(LEFT + length + 6, y + BAR - 3, amount(value, row["unit"]), size=10))
        y += BAR
    if floor:
        x = LEFT + WIDTH * floor["value"] / longest
        top = y - BAR * len(cells) - 2
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{y}" stroke="#d0473b" stroke-width="2"/>')
    return parts, y + GAP


def draw(summary):
    rows = {row["workload"]: row for row in summary["rows"]}
    rows = [rows[workload] for workload in SHOWN if workload in rows]
    present = {name for row in rows for name in row["cells"] if name != "floor"}
    names = summary["rondo"] + [name for name in ("nginx", "haproxy", "haproxy-splice") if name in present]
    parts = [text(20, 26, "Processor time of the proxy for one request (shorter is better)", size=15, weight="bold")]
    x = 20
    for name in names:
        label = NAMES.get(name, name)
        parts.append(f'<rect x="{x}" y="38" width="12" height="10" rx="2" fill="{COLOURS.get(name, "#1a7f5a")}"/>')
        parts.append(text(x + 17, 47, label, size=11))
        x += 34 + 7 * len(label)
    parts.append(f'<line x1="{x}" y1="37" x2="{x}" y2="49" stroke="#d0473b" stroke-width="2"/>')
    parts.append(text(x + 7, 47, "a relay that parses nothing", size=11))
    y = TOP
    for row in rows:
        drawn, y = draw_row(row, names, y)
        parts += drawn
    width = LEFT + WIDTH + 80
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
            'font-family="system-ui, sans-serif" fill="#24292f">\n'
            f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: picture.py RESULTS.json PICTURE.svg")
    with open(sys.argv[1], encoding="ascii") as file:
        summary = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(draw(summary))


if __name__ == "__main__":
    main()
