#!/usr/bin/env python3
"""Prints the rows of `reprise eval dllm --json` as a Markdown table for the documentation.

Usage: dllm_table.py EVAL.json
"""

import json
import pathlib
import sys


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def cells(row: dict, is_first: bool) -> list[str]:
    low, high = row["interval"]
    n_passes = row["n_full_passes"] + row["n_partial_passes"]
    late = percent(row["late_share"]) if "late_share" in row else "-"
    return [f"`{row['span']}`", f"`{row['commit']}`", f"`{row['refresh']}`",
            f"{percent(row['n_right'] / row['n'])} ({percent(low)}..{percent(high)})",
            "-" if is_first else f"{row['p_vs_first']:.2g}",
            *[f"{task['n_right']}" for task in row["tasks"].values()],
            f"{row['token_forwards'] / row['n']:,.0f}",
            f"{row['n_full_passes'] / row['n']:.1f} + {row['n_partial_passes'] / row['n']:.1f}",
            f"{row['n_tokens'] / n_passes:.1f}", f"{row['mean_span']:.1f}", percent(row["forced_share"]), late]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    rows = json.loads(pathlib.Path(sys.argv[1]).read_text())["rows"]
    tasks = [f"{name} of {task['n']}" for name, task in rows[0]["tasks"].items()]
    head = ["span", "commit", "refresh", "right, % (95 %)", "p", *tasks, "rows an answer", "passes: full + partial",
            "tokens a pass", "mean span", "forced, %", "late, %"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for i, row in enumerate(rows):
        print("| " + " | ".join(cells(row, i == 0)) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
