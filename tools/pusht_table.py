#!/usr/bin/env python3
"""Prints the rows of `reprise eval pusht MODEL --json FILE` as the Markdown tables of docs/bac.md.

Usage: pusht_table.py EVAL.json

First every method, except that of two spacings of the same steps only `trailing` is shown. Then BAC less the controls of
nearly equal evaluations or equal time, and what BAC's parts are worth, paired by episode: mean and standard error of the
differences, bold from three standard errors on. Where two controls are equally near, the one that scores better counts.
A row that says "run": N, N > 0, was measured apart, by the command runs[N] of the file, and is marked.
"""

import json
import math
import pathlib
import re
import sys

APART = "†"
TRAILING = ",spacing=trailing"
BUDGETS = (20, 10, 5)
BUBBLING = (5, 3)


def shown(rows: dict[str, dict]) -> dict[str, dict]:
    """Without the leading form of samplers that have a trailing one."""
    return {method: row for method, row in rows.items() if f"{row['sampler']}{TRAILING} {row['branch']}" not in rows}


def signed(value: float, error: float) -> str:
    return f"{value:+.3f} ± {error:.3f}".replace("-", "−")


def bytes_text(n: int) -> str:
    return f"{n / 1024:.0f} KiB" if n else "0"


def method_row(row: dict) -> str:
    name = row["sampler"] if row["branch"] == "full" and row["sampler"] != "ddpm" else row["branch"]
    name = f"`{name}`"
    if row["branch"].startswith("bac:"):
        name = f"**{name}**"
    if row.get("run"):
        name += " " + APART
    success, over = row["success"], row["score_over_full"]
    is_full = row["branch"] == "full" and row["sampler"] == "ddpm"
    cells = [name, f"{row['evaluations']:.1f}", f"{row['gflop_a_chunk']:.2f}", f"{row['chunk_ms']:.1f}",
             f"{row['chunk_p95_ms']:.1f}", bytes_text(row["cache_bytes"]), f"{row['action_rmse_px']:.1f}",
             f"{row['score']['mean']:.3f} ± {row['score']['standard_error']:.3f}",
             "" if is_full else signed(over["mean"], over["standard_error"]),
             f"{100 * success['mean']:.1f} ± {100 * success['standard_error']:.1f}"]
    return "| " + " | ".join(cells) + " |"


def method_table(rows: dict[str, dict]) -> list[str]:
    lines = ["| method | evals | GFLOP | ms | p95 | cache | error, px | score | over full | success, % |", "|---" * 10 + "|"]
    in_order = sorted(shown(rows).values(), key=lambda row: -round(row["evaluations"]))
    return lines + [method_row(row) for row in in_order]


def difference(a: dict, b: dict) -> str:
    """Of the scores of the same episodes, a less b."""
    values = [x - y for x, y in zip(a["scores"], b["scores"], strict=True)]
    mean = sum(values) / len(values)
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    text = signed(mean, error)
    return f"**{text}**" if abs(mean) >= 3 * error else text


def nearest(rows: list[dict], key: str, value: float) -> dict:
    return min(rows, key=lambda row: (round(abs(row[key] - value), 1), -row["score"]["mean"]))


def families(rows: dict[str, dict]) -> dict[str, list[dict]]:
    known = shown(rows).values()
    return {"respaced DDPM": [row for row in known if row["sampler"].startswith("respaced")],
            "DDIM": [row for row in known if row["sampler"].startswith("ddim")],
            "`uniform`": [row for row in known if re.match("uniform:.*force_last=true", row["branch"])],
            "`joint`": [row for row in known if row["branch"].startswith("joint:")]}


def label(row: dict) -> str:
    found = re.search(r"steps=(\d+)", row["sampler"])
    return f"{found[1]} steps" if found else f"{row['evaluations']:.0f} evals"


def control_table(rows: dict[str, dict]) -> list[str]:
    controls = families(rows)
    lines = ["| BAC, less (paired) | " + " | ".join(controls) + " | respaced DDPM at equal time |", "|---" * 6 + "|"]
    for updates in BUDGETS:
        for bubbling in BUBBLING:
            bac = rows[f"ddpm bac:updates={updates},bubbling={bubbling}"]
            by_evals = [nearest(family, "evaluations", bac["evaluations"]) for family in controls.values()]
            by_time = nearest(controls["respaced DDPM"], "chunk_ms", bac["chunk_ms"])
            head = f"S = {updates}, n = {bubbling}: {bac['evaluations']:.1f} evals, {bac['chunk_ms']:.1f} ms"
            cells = [f"{difference(bac, row)} ({label(row)})" for row in by_evals]
            cells.append(f"{difference(bac, by_time)} ({label(by_time)}, {by_time['chunk_ms']:.1f} ms)")
            lines.append("| " + " | ".join([head, *cells]) + " |")
    return lines


def part_table(rows: dict[str, dict]) -> list[str]:
    pairs = [("`block_acs` less `uniform`", "block_acs:updates={}", "uniform:updates={},force_last=true"),
             ("`block_acs` less `joint`", "block_acs:updates={}", "joint:updates={}"),
             ("BAC n = 3 less `block_acs`", "bac:updates={},bubbling=3", "block_acs:updates={}"),
             ("BAC n = 5 less n = 3", "bac:updates={},bubbling=5", "bac:updates={},bubbling=3")]
    lines = ["| of the same S (paired) | " + " | ".join(f"S = {updates}" for updates in BUDGETS) + " |", "|---" * 4 + "|"]
    for name, a, b in pairs:
        cells = [difference(rows["ddpm " + a.format(updates)], rows["ddpm " + b.format(updates)]) for updates in BUDGETS]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def tables(report: dict) -> list[str]:
    rows = {row["method"]: row for row in report["rows"]}
    return ["\n".join(table(rows)) for table in (method_table, control_table, part_table)]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print("\n\n".join(tables(json.loads(pathlib.Path(sys.argv[1]).read_text()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
