#!/usr/bin/env python3
"""Draws how `reprise run MODEL --watch` fills a canvas, as an SVG that plays one pass a second.

Usage: plot_canvas.py [--still PASSES] [--reprise FILE] [--model NAME] [--prompt TEXT] OUT.svg
                      [-- flags of `reprise run`, default --span adablock:window=budget]

    tools/plot_canvas.py docs/pictures/canvas.svg
    tools/plot_canvas.py --still 1,4,7,8 docs/pictures/canvas_still.svg

The frames are those that --watch prints into a pipe: the span of the pass stands between U+27E6 and
U+27E7 (a text that holds these itself is drawn wrongly), a masked position is U+2591. Elapsed times
are left out, so that the same program draws the same bytes.
"""

import argparse
import re
import subprocess
import sys
from xml.sax.saxutils import escape

PROMPT = "Olga has 47 cards. A: loses 36. B: finds 19. C: wins 28. D: keeps one of every 5. E: finds 20. How many now?"
STATUS = re.compile(r"pass (\d+) · .* filled")
N_COLUMNS = 80  # as --watch wraps in a pipe
COLUMN, LINE, MARGIN = 8.43, 21, 20  # pixels; a column of a 14 px monospace font
PASS_S, LAST_S = 1.0, 3.0
OPEN, CLOSE, MASK, END = "⟦", "⟧", "░", "∎"

# Its own background, since a page may be light where the reader's system is dark.
STYLE = """
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328;white-space:pre}
.back{fill:#fff;stroke:#d0d7de}.asked,.end{fill:#6e7781}.status{font-size:12px;fill:#57606a}
.span{fill:#fdf0d0}.now{fill:#00487c;font-weight:600}
.mask{stroke:#dde1e6;stroke-width:12;stroke-dasharray:6.43 2}.mask.now{stroke:#e0b060}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.back{fill:#0d1117;stroke:#30363d}.asked,.end{fill:#8d96a0}
.status{fill:#9198a1}.span{fill:#3a2f12}.now{fill:#8cc8ff}.mask{stroke:#272e37}.mask.now{stroke:#9c7a35}}
"""


def frames(printed):
    """(lines, pass, status) of every frame in what --watch printed."""
    found, lines = [], []
    for line in printed.split("\n"):
        status = STATUS.match(line)
        if status:
            found.append((lines, int(status[1]), status[0]))
            lines = []
        elif lines or line or not found:  # not the empty line between two frames
            lines.append(line)
    return found


def cells(lines):
    """Rows of (character, is in the span): brackets taken out, then wrapped again without them."""
    rows, is_now, joins = [], False, False
    for line in lines:
        if not joins:
            rows.append([])
        for character in line:
            if character in OPEN + CLOSE:
                is_now = character == OPEN
                if not is_now and (not rows[-1] or not rows[-1][-1][1]):
                    rows[-1].append(("\n", True))  # the span is a line break alone
            else:
                if len(rows[-1]) == N_COLUMNS:
                    rows.append([])
                rows[-1].append((character, is_now))
        joins = len(line) == N_COLUMNS  # a full line was broken by its width
    return rows


def runs(row):
    """(first column, text, is in the span, kind) of neighbours that look alike."""
    found = []
    for column, (character, is_now) in enumerate(row):
        kind = {MASK: "mask", END: "end", "\n": "break"}.get(character, "text")
        if found and found[-1][2:] == [is_now, kind]:
            found[-1][1] += character
        else:
            found.append([column, character, is_now, kind])
    return found


def text(column, y, words, name):
    width = f' textLength="{len(words) * COLUMN:.1f}" lengthAdjust="spacingAndGlyphs"' if name != "status" else ""
    return f'<text class="{name}" x="{MARGIN + column * COLUMN:.1f}" y="{y:.1f}"{width}>{escape(words)}</text>'


def draw_frame(rows, status, y, n_lines):
    """A frame whose first line has its base at `y`, and its status below `n_lines` lines."""
    out = []
    for i, row in enumerate(rows):
        base = y + i * LINE
        for column, characters, is_now, kind in runs(row):
            x, width = MARGIN + column * COLUMN, len(characters) * COLUMN
            now = " now" if is_now else ""
            if is_now:
                out.append(f'<rect class="span" x="{x - 1:.1f}" y="{base - 15}" width="{width + 2:.1f}" height="{LINE}"/>')
            if kind == "mask":
                out.append(f'<line class="mask{now}" x1="{x + 1:.1f}" x2="{x + width:.1f}" y1="{base - 4.5}" y2="{base - 4.5}"/>')
            elif kind != "break" and characters.strip():
                out.append(text(column, base, characters, kind + now))
    out.append(text(0, y + n_lines * LINE + 6, status, "status"))
    return out


def draw(asked, shown, is_still):
    n_most = max(len(rows) for rows, _, _ in shown)
    n_lines = [len(rows) if is_still else n_most for rows, _, _ in shown]
    bases, y = [], MARGIN + 12 + (len(asked) + 0.5) * LINE  # of the first line of each frame
    for n in n_lines:
        bases.append(y)
        y += (n + 2) * LINE if is_still else 0
    height = bases[-1] + n_lines[-1] * LINE + MARGIN
    width = N_COLUMNS * COLUMN + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
           'aria-label="A diffusion language model fills in its answer, span by span">', "<style>" + STYLE.strip()]
    seconds = PASS_S * (len(shown) - 1) + LAST_S
    if not is_still:
        # Without animation, or where the reader wants no motion, the last frame stands.
        out.append(".frame{visibility:hidden}.frame:last-of-type{visibility:visible}")
        out.append("@media (prefers-reduced-motion:no-preference){")
        for i in range(len(shown)):
            begin, end = 100 * i * PASS_S / seconds, 100 * (i + 1) * PASS_S / seconds
            hidden = f"0%{{visibility:hidden}}{begin:.3f}%{{visibility:visible}}" if i else "0%{visibility:visible}"
            if i < len(shown) - 1:
                hidden += f"{end:.3f}%,100%{{visibility:hidden}}"
            out.append(f"@keyframes f{i}{{{hidden}}}#f{i}{{animation:f{i} {seconds:g}s step-end infinite}}")
        out.append("}")
    out += ["</style>", f'<rect class="back" x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="6"/>']
    out += [text(0, MARGIN + 12 + i * LINE, line, "asked") for i, line in enumerate(asked)]
    for i, (rows, _, status) in enumerate(shown):
        out += [f'<g class="frame" id="f{i}">', *draw_frame(rows, status, bases[i], n_lines[i]), "</g>"]
    out.append("</svg>")
    return "\n".join(out) + "\n"


def wrapped(words):
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > N_COLUMNS:
            lines.append("")
        lines[-1] += " " * bool(lines[-1]) + word
    return lines


def passes(words):
    return {int(i_pass) for i_pass in words.split(",")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--still", metavar="PASSES", type=passes, help="these passes below each other, such as 1,4,7,8")
    parser.add_argument("--reprise", default="build/reprise")
    parser.add_argument("--model", default="dllm-demo")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("flags", nargs="*", help="of `reprise run`, behind --")
    args = parser.parse_args()
    command = [args.reprise, "run", args.model, "-p", args.prompt, *(args.flags or ["--span", "adablock:window=budget"]), "--watch"]
    run = subprocess.run(command, capture_output=True, text=True)
    shown = [(cells(lines), i_pass, status) for lines, i_pass, status in frames(run.stderr)]
    if run.returncode != 0 or not shown:
        print(f"{' '.join(command)}: no frames, exit code {run.returncode}\n{run.stderr}", file=sys.stderr)
        return 1
    if args.still:
        if args.still - {i_pass for _, i_pass, _ in shown}:
            print(f"--still: the run has passes 1 to {len(shown)}", file=sys.stderr)
            return 1
        shown = [frame for frame in shown if frame[1] in args.still]
    with open(args.out, "w", encoding="utf-8") as file:
        file.write(draw(wrapped(args.prompt), shown, bool(args.still)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
