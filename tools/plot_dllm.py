#!/usr/bin/env python3
"""Draws accuracy against cost from a report of `reprise eval dllm --json FILE`, as SVG.

Usage: plot_dllm.py EVAL.json [MORE.json ...] OUT.svg

A mark is a row of the report: the share of right answers with its 95 % interval against the
token-forwards (rows computed, padding included) of one answer. Spans of fixed lengths are joined.
"""

import math
import re
import sys

import svg_plot

WIDTH, HEIGHT = 820, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 44, 52
COLOURS = {"none": "#00487c", "dual": "#d1495b", "prefix": "#2e8b8b"}
OTHER = "#b07d2b"
TOP1 = "#888888"
DASHES = ["", "6 4", "2 3", "8 3 2 3"]  # one for each commit rule
MARKS = {  # of the span policies that are not fixed; a centre and a radius give a path
    "adablock": "M{x},{t} L{r},{y} {x},{b} {l},{y}Z",
    "shuffled": "M{l},{t} L{r},{t} {x},{b}Z",
    "oracle": "M{x},{t} L{r},{b} {l},{b}Z",
    "first_delimiter": "M{l},{t} L{r},{y} {l},{b}Z",
    "wrong_delimiter": "M{r},{t} L{l},{y} {r},{b}Z",
}
SQUARE = "M{l},{t} L{r},{t} {r},{b} {l},{b}Z"


def fixed_length(row):
    """Positions of a fixed span, math.inf for the whole answer, None for every other span policy."""
    if row["span"] == "whole":
        return math.inf
    if row["span"].split(":")[0] != "fixed":
        return None
    length = re.search(r"len=(\d+)", row["span"])
    return int(length[1]) if length else None


def is_top1(row):
    return row["commit"].split(":")[0] == "top1"


def label(row, commits):
    """What stands beside a mark; the commit rule only where the report has several."""
    length = fixed_length(row)
    if is_top1(row):
        return "one token a pass"
    kind, _, options = row["span"].partition(":")
    name = str(length) if length not in (None, math.inf) else kind.replace("_", " ")
    if kind != "fixed" and options:
        name += f" {options}"
    return name if len(commits) < 2 else f"{name}, {row['commit']}"


def path(shape, x, y, radius):
    edges = {"l": x - radius, "r": x + radius, "t": y - radius, "b": y + radius, "x": x, "y": y}
    return shape.format(**{key: f"{value:.1f}" for key, value in edges.items()})


def free_place(x, y, words, taken):
    """Where a label beside (x, y) covers no other one: the first that is free, or else the first."""
    width = 6.2 * len(words)
    places = [(x + 9, y - 5), (x + 9, y + 13), (x - 9 - width, y - 5), (x - 9 - width, y + 13)]
    places += [(x + 9, y + lift) for step in range(2, 9) for lift in (-5 - 13 * step, 13 + 13 * step)]

    def is_inside(place, box):
        return LEFT <= place[0] and box[2] < WIDTH - RIGHT and TOP < place[1] < HEIGHT - BOTTOM

    return svg_plot.free_place(places, lambda at_x, at_y: (at_x - 2, at_y - 10, at_x + width + 2, at_y + 3), taken, is_inside)


def draw(report):
    rows = report["rows"]
    costs = [row["token_forwards"] / row["n"] for row in rows]
    cheapest, dearest = min(costs) / 1.25, max(costs) * 1.25
    worst = math.floor(10 * min(row["interval"][0] for row in rows)) / 10
    best = math.ceil(10 * max(row["interval"][1] for row in rows)) / 10
    commits = sorted({row["commit"] for row in rows if not is_top1(row)})
    refreshes = list(dict.fromkeys(row["refresh"] for row in rows if not is_top1(row)))

    def x(cost):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(cost / cheapest) / math.log(dearest / cheapest)

    def y(share):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (share - worst) / (best - worst)

    def colour(row):
        return TOP1 if is_top1(row) else COLOURS.get(row["refresh"].split(":")[0], OTHER)

    counts = sorted({row["n"] for row in rows})
    n_prompts = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
           'role="img" aria-label="Share of right answers against token-forwards an answer">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="{TOP - 18}">right answers, bars: 95 % interval of {n_prompts} prompts a mark</text>']
    for tenth in range(round(10 * worst), round(10 * best) + 1):
        at = y(tenth / 10)
        svg.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e5e5"/>'
                   f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10 * tenth} %</text>')
    for cost in svg_plot.ticks(cheapest, dearest):
        svg.append(f'<line x1="{x(cost):.1f}" x2="{x(cost):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#f0f0f0"/>'
                   f'<text x="{x(cost):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{cost:,.15g}</text>')
    svg.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">token-forwards an answer (logarithmic)</text>')

    for refresh in refreshes:
        for commit, dashes in zip(commits, DASHES * len(commits)):
            fixed = [row for row in rows if (row["refresh"], row["commit"]) == (refresh, commit) and fixed_length(row)]
            fixed.sort(key=fixed_length)
            points = " ".join(f"{x(row['token_forwards'] / row['n']):.1f},{y(row['n_right'] / row['n']):.1f}" for row in fixed)
            if len(fixed) > 1:
                svg.append(f'<polyline points="{points}" fill="none" stroke="{colour(fixed[0])}" stroke-width="1.5" '
                           f'stroke-dasharray="{dashes}" opacity="0.6"/>')
    places = [(x(cost), y(row["n_right"] / row["n"])) for row, cost in zip(rows, costs)]
    taken = [(at_x - 5, at_y - 5, at_x + 5, at_y + 5) for at_x, at_y in places]
    for row, (at_x, at_y) in zip(rows, places):
        low, high = (y(share) for share in row["interval"])
        svg.append(f'<line x1="{at_x:.1f}" x2="{at_x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour(row)}" opacity="0.45"/>')
    for row, (at_x, at_y) in zip(rows, places):
        words = label(row, commits)
        title = f"<title>{row['span']}, {row['commit']}, {row['refresh']}: {row['n_right']} of {row['n']}</title>"
        kind = row["span"].split(":")[0]
        if fixed_length(row) and not is_top1(row):
            svg.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="3.5" fill="{colour(row)}">{title}</circle>')
        else:
            shape = SQUARE if is_top1(row) else MARKS.get(kind, SQUARE)
            fill = "white" if kind in MARKS and kind != "adablock" and not is_top1(row) else colour(row)
            svg.append(f'<path d="{path(shape, at_x, at_y, 5.5 if kind == "adablock" else 4.5)}" fill="{fill}" '
                       f'stroke="{colour(row)}" stroke-width="1.5">{title}</path>')
        text_x, text_y = free_place(at_x, at_y, words, taken)
        weight = ' font-weight="600"' if kind == "adablock" and not is_top1(row) else ""
        svg.append(f'<text x="{text_x:.1f}" y="{text_y:.1f}" fill="{colour(row)}" font-size="11"{weight} '
                   f'paint-order="stroke" stroke="white" stroke-width="3">{words}</text>')

    names = {"none": "no cache", "dual": "dual cache", "prefix": "prefix cache"}
    for i, refresh in enumerate(refreshes):
        at, ink = TOP + 8 + 20 * i, COLOURS.get(refresh.split(":")[0], OTHER)
        svg.append(f'<line x1="{WIDTH - RIGHT + 14}" x2="{WIDTH - RIGHT + 38}" y1="{at}" y2="{at}" stroke="{ink}" stroke-width="1.5"/>'
                   f'<circle cx="{WIDTH - RIGHT + 26}" cy="{at}" r="3.5" fill="{ink}"/>'
                   f'<text x="{WIDTH - RIGHT + 46}" y="{at + 4}" fill="{ink}">{names.get(refresh, refresh)}</text>')
    svg.append(f'<text x="{WIDTH - RIGHT + 14}" y="{TOP + 16 + 20 * len(refreshes)}" font-size="11" fill="#666">line: spans of a fixed</text>'
               f'<text x="{WIDTH - RIGHT + 14}" y="{TOP + 30 + 20 * len(refreshes)}" font-size="11" fill="#666">length, in positions</text>')
    svg.append("</svg>")
    return "\n".join(svg) + "\n"


if __name__ == "__main__":
    sys.exit(svg_plot.main(__doc__, "dllm", "rows", "no rows of 'reprise eval dllm'", draw))
