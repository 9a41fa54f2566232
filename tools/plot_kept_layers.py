#!/usr/bin/env python3
"""Draws how many KV entries each layer kept, from what `reprise run -v` prints, as SVG.

    reprise run smollm2 -f examples/texts/alice.txt -p "..." --kv cake:budget=1024 -v 2> decisions.txt
    tools/plot_kept_layers.py decisions.txt docs/pictures/kept_layers.svg
"""

import re
import sys

LINE = re.compile(r"layer (\d+): keeps ([\d,]+) of ([\d,]+) entries")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 300, 64, 58, 46


def number(text: str) -> int:
    return int(text.replace(",", ""))


def draw(kept: list[int], n_prompt: int) -> str:
    mean = sum(kept) / len(kept)
    top = max(kept) * 1.08
    step = (WIDTH - LEFT - 150) / len(kept)
    plot = HEIGHT - TOP - BOTTOM
    y = lambda n: TOP + plot * (1 - n / top)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="KV entries kept by each layer">',
        "<style>text{font:14px system-ui,sans-serif;fill:#333}.s{font-size:12px;fill:#666}"
        ".b{fill:#2f6fb0}.m{stroke:#c2571a;stroke-width:2;stroke-dasharray:6 4}.t{fill:#c2571a}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-weight="600">KV entries that each layer keeps of a prompt of {n_prompt:,} tokens</text>',
        f'<text class="s" x="{LEFT}" y="43">CAKE shares one budget by what the question attends to; '
        "uniform policies give every layer the same</text>",
    ]
    for tick in range(0, int(top) + 1, 500):
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 150}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>')
        out.append(f'<text class="s" x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:,}</text>')
    for i, n in enumerate(kept):
        out.append(f'<rect class="b" x="{LEFT + i * step + 2:.1f}" y="{y(n):.1f}" width="{step - 4:.1f}" '
                   f'height="{TOP + plot - y(n):.1f}"><title>layer {i}: {n:,}</title></rect>')
        if i % 5 == 0 or i == len(kept) - 1:
            out.append(f'<text class="s" x="{LEFT + (i + 0.5) * step:.1f}" y="{HEIGHT - 26}" '
                       f'text-anchor="middle">{i}</text>')
    out.append(f'<line class="m" x1="{LEFT}" x2="{WIDTH - 150}" y1="{y(mean):.1f}" y2="{y(mean):.1f}"/>')
    out.append(f'<text class="t" x="{WIDTH - 142}" y="{y(mean) + 5:.1f}">equal share {mean:,.0f}</text>')
    out.append(f'<text class="s" x="{LEFT}" y="{HEIGHT - 8}">layer</text></svg>')
    return "\n".join(out) + "\n"


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    found = LINE.findall(open(sys.argv[1], encoding="utf-8").read())
    if not found:
        print(f"{sys.argv[1]}: no line 'layer N: keeps ...'; run reprise with -v and a binding --kv budget",
              file=sys.stderr)
        return 1
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write(draw([number(n) for _, n, _ in found], number(found[0][2])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
