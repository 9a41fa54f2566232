#!/usr/bin/env python3
"""Draws BAC's error surge from a report of `reprise eval pusht MODEL --surge --json FILE`, as SVG.

Usage: plot_surge.py SURGE.json OUT.svg

Left: how wrong each layer's feed-forward is, on average, at the steps where it is computed anew, for each number of
bubbling branches. Right: each of these steps on its own, all layers, along the denoising.
"""

import math
import sys

import svg_plot

WIDTH, HEIGHT = 860, 400
LEFT, GAP, RIGHT, TOP, BOTTOM = 64, 76, 16, 62, 52
PANEL = (WIDTH - LEFT - GAP - RIGHT) / 2
COLOURS = ("#d1495b", "#b07d2b", "#00487c", "#2e8b8b", "#888888")
MARKS = ("circle", "square", "diamond", "circle", "square")


def mark(kind, x, y, radius, ink, title=""):
    """A mark whose form tells the series apart where colours do not."""
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{ink}">{title}</circle>'
    points = ([(-1, -1), (1, -1), (1, 1), (-1, 1)] if kind == "square" else [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)])
    path = " ".join(f"{x + radius * dx:.1f},{y + radius * dy:.1f}" for dx, dy in points)
    return f'<polygon points="{path}" fill="{ink}">{title}</polygon>'


def name(surge):
    return f"BAC, n = {surge['bubbling']}"


def nice_step(most):
    """A step of 1, 2 or 5 times a power of ten that makes at most six of `most`."""
    power = 10 ** math.floor(math.log10(most / 6))
    return next(m * power for m in (1, 2, 5, 10) if most / (m * power) <= 6)


def draw(report):
    surges = report["surge"]
    n_layers = len(surges[0]["feed_forward"])
    errors = [update[1] for surge in surges for layer in surge["updates"] for update in layer]
    most = max([*errors, *(e for surge in surges for e in surge["feed_forward"]), 1e-9]) * 1.08
    last = max([update[0] for surge in surges for layer in surge["updates"] for update in layer], default=1)
    begin = LEFT + PANEL + GAP
    bottom = HEIGHT - BOTTOM

    def y(error):
        return bottom - (bottom - TOP) * error / most

    def layer_x(layer):
        return LEFT + PANEL * (layer + 0.5) / n_layers

    def step_x(k):
        return begin + PANEL * k / max(last, 1)

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
           'role="img" aria-label="Relative error of feed-forward outputs at their own update steps">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="{TOP - 14}">relative L2 error of a feed-forward when it is computed</text>',
           f'<text x="{begin:.0f}" y="{TOP - 14}">each of these computations</text>']
    step = nice_step(most)
    for i in range(int(most / step) + 1):
        for x in (LEFT, begin):
            svg.append(f'<line x1="{x:.1f}" x2="{x + PANEL:.1f}" y1="{y(i * step):.1f}" y2="{y(i * step):.1f}" stroke="#e5e5e5"/>'
                       f'<text x="{x - 8:.1f}" y="{y(i * step) + 4:.1f}" text-anchor="end">{i * step:g}</text>')
    for layer in range(n_layers):
        svg.append(f'<text x="{layer_x(layer):.1f}" y="{bottom + 18}" text-anchor="middle">{layer}</text>')
    for k in range(0, last + 1, 20 if last > 40 else 5):
        svg.append(f'<text x="{step_x(k):.1f}" y="{bottom + 18}" text-anchor="middle">{k}</text>')
    svg.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">layer</text><text x="{begin:.0f}" y="{HEIGHT - 10}">denoising step</text>')

    for surge, ink, kind in zip(surges, COLOURS, MARKS):
        points = " ".join(f"{layer_x(i):.1f},{y(e):.1f}" for i, e in enumerate(surge["feed_forward"]))
        svg.append(f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="1.5" opacity="0.6"/>')
        for layer, error in enumerate(surge["feed_forward"]):
            title = f"<title>{name(surge)}, layer {layer}: {error:.3f}</title>"
            svg.append(mark(kind, layer_x(layer), y(error), 4, ink, title))
        svg.append('<g opacity="0.65">')
        for layer, updates in enumerate(surge["updates"]):
            for k, error in updates:
                title = f"<title>{name(surge)}, layer {layer}, step {k}: {error:.3f}</title>"
                svg.append(mark(kind, step_x(k), y(error), 2.6, ink, title))
        svg.append("</g>")
    at = LEFT
    for surge, ink, kind in zip(surges, COLOURS, MARKS):
        words = f"{name(surge)}: {surge['evaluations']:.1f} evaluations, error {surge['rms_at_first_updates']:.2f}"
        svg.append(mark(kind, at + 5, 18, 4, ink) + f'<text x="{at + 15}" y="22" fill="{ink}">{words}</text>')
        at += 30 + 6 * len(words)
    svg.append("</svg>")
    return "\n".join(svg) + "\n"


if __name__ == "__main__":
    sys.exit(svg_plot.main(__doc__, "pusht", "surge", "nothing of 'reprise eval pusht --surge'", draw))
