#!/usr/bin/env python3
"""Prints the rows of `reprise eval dllm --json` as a Markdown table for the documentation.

Usage: dllm_table.py EVAL.json [MORE.json ...] [--against ROW] [--only REFRESH]
       dllm_table.py EVAL.json [MORE.json ...] --equal-rows ROW

Several files are one table if they judge the same prompts. p is that of an exact McNemar test against the first row, or
against row ROW (from 1); --only leaves the rows of one refresh policy, and that row. Premature: commits below 0.9 that are
not the right answer's token, by passes.
--equal-rows prints instead what row ROW gains over the best that fixed spans with its commit and refresh reach at as many
token-forwards, with the 95 % interval of a bootstrap over prompts: `adablock_minus_best_fixed_at_equal_forwards` of
`reprise bench dllm`.
"""

import argparse
import json
import math
import pathlib
import sys

from dllm_loop import SplitMix64


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def discordant(row: dict, other: dict) -> tuple[int, int]:
    """Prompts that only `other`, and that only `row` gets right."""
    pairs = list(zip(other["right"], row["right"], strict=True))
    return pairs.count(("1", "0")), pairs.count(("0", "1"))


def mcnemar(n_only_a: int, n_only_b: int) -> float:
    """Exact, both sides."""
    n = n_only_a + n_only_b
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(n_only_a, n_only_b) + 1)) / 2**n)


def cells(row: dict, other: dict) -> list[str]:
    low, high = row["interval"]
    n_passes = row["n_full_passes"] + row["n_partial_passes"]
    late = percent(row["late_share"]) if "late_share" in row else "-"
    losses, gains = discordant(row, other)
    versus = ["-", "-"] if row is other else [f"+{gains} -{losses}", f"{mcnemar(losses, gains):.2g}"]
    return [f"`{row['span']}`", f"`{row['commit']}`", f"`{row['refresh']}`",
            f"{row['n_right']}: {percent(row['n_right'] / row['n'])} ({percent(low)}..{percent(high)})", *versus,
            *[f"{task['n_right']}" for task in row["tasks"].values()], percent(row["right_lines_share"]) if "right_lines_share" in row else "-",
            f"{row['token_forwards'] / row['n']:,.0f}",
            f"{row['n_full_passes'] / row['n']:.1f} + {row['n_partial_passes'] / row['n']:.1f}",
            f"{row['n_tokens'] / n_passes:.1f}", f"{row['mean_span']:.1f}", percent(row["forced_share"]),
            percent(row["n_forced_wrong"] / n_passes), late]


def reached(points: list[tuple[float, float]], cost: float) -> float:
    """Share of right answers at a cost: points joined where more rows give more, level before the first and behind the last."""
    points = sorted(points)
    before = points[0]
    for point in points:
        if point[1] <= before[1]:
            continue
        if before[0] >= cost:
            break
        if point[0] > cost:
            return before[1] + (cost - before[0]) / (point[0] - before[0]) * (point[1] - before[1])
        before = point
    return before[1]


def gain_at_equal_rows(row: dict, fixed: list[dict]) -> tuple[float, float, float]:
    """Gain and its interval, as src/engines/infill/equal_rows_gain.cc draws it."""
    def point(of: dict, drawn: list[int]) -> tuple[float, float]:
        return (sum(of["rows_by_prompt"][i] for i in drawn) / len(drawn),
                sum(of["right"][i] == "1" for i in drawn) / len(drawn))

    def gain(drawn: list[int]) -> float:
        cost, right = point(row, drawn)
        return right - reached([point(other, drawn) for other in fixed], cost)

    rng, n = SplitMix64(1), row["n"]
    gains = sorted(gain([rng.next() % n for _ in range(n)]) for _ in range(1000))
    return gain(list(range(n))), gains[25], gains[975]


def table(rows: list[dict], against: int = 1, only: str | None = None) -> list[str]:
    """Lines of Markdown. Raises ValueError where rows judge different prompts."""
    if any((row["n"], row["tasks"].keys()) != (rows[0]["n"], rows[0]["tasks"].keys()) for row in rows):
        raise ValueError("the files judge different prompts")
    other = rows[against - 1]
    tasks = [f"{name} of {task['n']}" for name, task in rows[0]["tasks"].items()]
    head = ["span", "commit", "refresh", "right, % (95 %)", "won, lost", "p", *tasks, "lines, %", "rows an answer",
            "passes: full + partial", "tokens a pass", "mean span", "forced, %", "premature, %", "late, %"]
    shown = [row for row in rows if only is None or row["refresh"] == only or row is other]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *["| " + " | ".join(cells(row, other)) + " |" for row in shown]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=pathlib.Path, nargs="+", metavar="EVAL.json")
    parser.add_argument("--against", type=int, default=1, metavar="ROW")
    parser.add_argument("--only", metavar="REFRESH")
    parser.add_argument("--equal-rows", type=int, metavar="ROW")
    args = parser.parse_args()
    rows = [row for path in args.reports for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    for number in (args.against, args.equal_rows or 1):
        if not 1 <= number <= len(rows):
            parser.error(f"row {number}: there are {len(rows)} rows")
    if args.equal_rows:
        row = rows[args.equal_rows - 1]
        fixed = [other for other in rows if other["span"].split(":")[0] in ("fixed", "whole")
                 and (other["commit"], other["refresh"]) == (row["commit"], row["refresh"])]
        gain, low, high = gain_at_equal_rows(row, fixed)
        print(f"{row['span']} {row['commit']} {row['refresh']}: {percent(gain)} points ({percent(low)}..{percent(high)}) over the "
              f"best of {len(fixed)} fixed spans at equal token-forwards")
        return 0
    try:
        print("\n".join(table(rows, args.against, args.only)))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
