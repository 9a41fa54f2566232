#!/usr/bin/env python3
"""Draws docs/pictures/decode_speed.svg from reports of `reprise bench kv --json FILE`.

Usage: plot_decode_speed.py OUT.svg REPORT.json...
"""

import json
import math
import sys

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 210, 24, 48
LINES = [  # contestant, label, colour, dashes
    ("bound", "bound of the full F16 cache", "#888888", "4 3"),
    ("cake:budget=1024", "Reprise, cake:budget=1024", "#d1495b", ""),
    ("full:type=q4_0", "Reprise, full cache, Q4_0", "#66a182", ""),
    ("full:type=q8_0", "Reprise, full cache, Q8_0", "#2e8b8b", ""),
    ("full", "Reprise, full cache, F16", "#00487c", ""),
    ("libllama", "libllama, flash off", "#b07d2b", ""),
    ("libllama flash", "libllama, flash on", "#e0b060", ""),
]


def series(reports):
    """Tokens per second by context, for every contestant and for the bound of the full F16 cache."""
    speeds = {}
    for report in reports:
        for row in report["rows"]:
            context = row["context"]
            speeds.setdefault(row["subject"], {})[context] = row["decode_tok_s"]["median"]
            if row["subject"] == "full":
                speeds.setdefault("bound", {})[context] = row["bound_tok_s"]["median"]
    return speeds


def main():
    out, *paths = sys.argv[1:]
    speeds = series([json.load(open(path, encoding="utf-8")) for path in paths])
    contexts = sorted(speeds["full"])
    most = math.ceil(max(max(line.values()) for line in speeds.values()) / 50) * 50

    def x(context):
        low, high = math.log(contexts[0]), math.log(contexts[-1])
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(context) - low) / (high - low)

    def y(speed):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * speed / most

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for speed in range(0, most + 1, 50):
        svg.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(speed):.1f}" y2="{y(speed):.1f}" stroke="#e5e5e5"/>'
                   f'<text x="{LEFT - 8}" y="{y(speed) + 4:.1f}" text-anchor="end">{speed}</text>')
    for context in contexts:
        svg.append(f'<text x="{x(context):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{context:,}</text>')
    svg.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">tokens of context (logarithmic)</text>'
               f'<text x="{LEFT}" y="{TOP - 9}">tokens per second</text>')
    labels = []
    for name, label, colour, dashes in LINES:
        points = sorted(speeds.get(name, {}).items())
        if not points:
            continue
        path = " ".join(f"{x(c):.1f},{y(s):.1f}" for c, s in points)
        svg.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        svg += [f'<circle cx="{x(c):.1f}" cy="{y(s):.1f}" r="3" fill="{colour}"/>' for c, s in points]
        labels.append([y(points[-1][1]), label, colour])
    labels.sort()
    for i, (at, label, colour) in enumerate(labels):  # no label on another
        at = max(at, labels[i - 1][0] + 14) if i else at
        labels[i][0] = at
    overflow = labels[-1][0] - (HEIGHT - BOTTOM)
    for at, label, colour in labels:
        svg.append(f'<text x="{WIDTH - RIGHT + 8}" y="{at - max(0, overflow) + 4:.1f}" fill="{colour}" font-size="11">{label}</text>')
    svg.append("</svg>")
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(svg) + "\n")


if __name__ == "__main__":
    main()
