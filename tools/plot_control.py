#!/usr/bin/env python3
"""Draws closed-loop score against time from a report of `reprise eval pusht MODEL --json FILE`, as SVG.

Usage: plot_control.py EVAL.json OUT.svg

A mark is a row of the report, but of two spacings of the same steps `trailing` alone is shown: the mean score with one
standard error on either side against the milliseconds of one chunk. Methods that differ in their budget alone are joined.
"""

import math
import re
import sys

import svg_plot
from pusht_table import shown

WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 44, 52
FAMILIES = {  # name to words, ink, mark
    "full": ("everything computed", "#444444", "square"),
    "respaced": ("DDPM, fewer steps", "#888888", "circle"),
    "ddim": ("DDIM", "#b07d2b", "circle"),
    "uniform": ("uniform", "#2e8b8b", "circle"),
    "uniform+last": ("uniform, last step too", "#2e8b8b", "ring"),
    "unified": ("unified", "#8f4f9f", "square"),
    "joint": ("joint", "#3a7d44", "square"),
    "block_acs": ("block ACS (n = 0)", "#d1495b", "ring"),
    "bac 3": ("BAC, n = 3", "#d1495b", "diamond"),
    "bac 5": ("BAC, n = 5", "#00487c", "diamond"),
    "lowest_consecutive": ("lowest consecutive", "#b0b0b0", "square"),
}
OTHER = ("other", "#b0b0b0", "ring")


def family(row):
    sampler, branch = row["sampler"].split(":")[0], row["branch"].split(":")[0]
    if branch == "full":
        return "full" if sampler == "ddpm" else sampler
    if branch == "bac":
        n = re.search(r"bubbling=(\d+)", row["branch"])
        return f"bac {n[1] if n else 5}"
    return "uniform+last" if branch == "uniform" and "force_last=true" in row["branch"] else branch


def budget(row):
    """Steps or updates, for a mark's label; empty for everything."""
    found = re.search(r"(?:steps|updates)=(\d+)", row["sampler"] if row["branch"] == "full" else row["branch"])
    return found[1] if found else ""


def mark(kind, x, y, ink, title=""):
    if kind in ("circle", "ring"):
        fill = ink if kind == "circle" else "white"
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{ink}" stroke-width="1.5">{title}</circle>'
    r = 4.5 if kind == "square" else 6
    corners = ((-r, -r), (r, -r), (r, r), (-r, r)) if kind == "square" else ((0, -r), (r, 0), (0, r), (-r, 0))
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{path}" fill="{ink}">{title}</polygon>'


def free_place(x, y, words, taken):
    """Where a label beside (x, y) covers no mark and no other label: the first that is free, or else the first."""
    width = 6.2 * len(words)
    places = [(x + 7, y - 6), (x + 7, y + 14), (x - 7 - width, y - 6), (x - 7 - width, y + 14)]
    return svg_plot.free_place(places, lambda at_x, at_y: (at_x - 1, at_y - 9, at_x + width + 1, at_y + 2), taken)


def draw(report):
    rows = list(shown({row["method"]: row for row in report["rows"]}).values())
    times = [row["chunk_ms"] for row in rows]
    fastest, slowest = min(times) / 1.2, max(times) * 1.2
    ends = [row["score"]["mean"] + side * row["score"]["standard_error"] for row in rows for side in (-1, 1)]
    worst, best = math.floor(10 * min(ends)) / 10, math.ceil(10 * max(ends)) / 10

    def x(ms):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(ms / fastest) / math.log(slowest / fastest)

    def y(score):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (score - worst) / (best - worst)

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
           'role="img" aria-label="Closed-loop score against the time of a chunk">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="{TOP - 18}">mean score over {report["n_seeds"]} episodes, bars: one standard error</text>']
    for tenth in range(round(10 * worst), round(10 * best) + 1):
        at = y(tenth / 10)
        svg.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e5e5"/>'
                   f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    for ms in svg_plot.ticks(fastest, slowest):
        svg.append(f'<line x1="{x(ms):.1f}" x2="{x(ms):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#f0f0f0"/>'
                   f'<text x="{x(ms):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{ms:g}</text>')
    svg.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">ms a chunk (logarithmic)</text>')

    full = next((row for row in rows if family(row) == "full"), None)
    if full:
        at = y(full["score"]["mean"])
        svg.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#444444" stroke-dasharray="5 4"/>')
    families = [f for f in FAMILIES if any(family(row) == f for row in rows)]
    families += sorted({family(row) for row in rows} - set(families))
    places = [(x(row["chunk_ms"]), y(row["score"]["mean"])) for row in rows]
    for kind in families:
        points = sorted(place for row, place in zip(rows, places) if family(row) == kind)
        if len(points) > 1:
            path = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in points)
            ink = FAMILIES.get(kind, OTHER)[1]
            svg.append(f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="1.5" opacity="0.5"/>')
    taken = [(at_x - 5, at_y - 5, at_x + 5, at_y + 5) for at_x, at_y in places]
    for row, (at_x, at_y) in zip(rows, places):
        ink, error = FAMILIES.get(family(row), OTHER)[1], row["score"]["standard_error"]
        low, high = (y(row["score"]["mean"] + side * error) for side in (-1, 1))
        svg.append(f'<line x1="{at_x:.1f}" x2="{at_x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{ink}" opacity="0.4"/>')
    for row, (at_x, at_y) in zip(rows, places):
        words, ink, shape = FAMILIES.get(family(row), OTHER)
        title = f"<title>{row['method']}: {row['score']['mean']:.3f}, {row['chunk_ms']:.1f} ms</title>"
        svg.append(mark(shape, at_x, at_y, ink, title))
        if budget(row):
            text_x, text_y = free_place(at_x, at_y, budget(row), taken)
            svg.append(f'<text x="{text_x:.1f}" y="{text_y:.1f}" fill="{ink}" font-size="10" paint-order="stroke" '
                       f'stroke="white" stroke-width="3">{budget(row)}</text>')
    for i, kind in enumerate(families):
        words, ink, shape = FAMILIES.get(kind, (kind, *OTHER[1:]))
        at = TOP + 8 + 20 * i
        svg.append(mark(shape, WIDTH - RIGHT + 24, at, ink) +
                   f'<text x="{WIDTH - RIGHT + 36}" y="{at + 4}" fill="{ink}">{words}</text>')
    svg.append(f'<text x="{WIDTH - RIGHT + 16}" y="{TOP + 16 + 20 * len(families)}" font-size="11" fill="#666">'
               'numbers: steps or updates</text>')
    svg.append("</svg>")
    return "\n".join(svg) + "\n"


if __name__ == "__main__":
    sys.exit(svg_plot.main(__doc__, "pusht", "rows", "no rows of 'reprise eval pusht'", draw))
