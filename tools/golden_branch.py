#!/usr/bin/env python3
"""Writes tests/golden/control/branch_schedules.json: what the authors' released code of BAC (arXiv 2506.13456) makes of random
similarities, in a few lines of NumPy written anew from a description of that code.

    python3 -m venv .venv && .venv/bin/pip install numpy==2.4.6
    .venv/bin/python tools/golden_branch.py [--check]

acs       steps of one branch: matrix seed and kind, K, S, whether the metric is a distance, steps
bubbling  steps of all branches before and after: layers, K, n, volatility

Matrices are drawn from SplitMix64, so that the test draws the same ones and the file stays small: of `kind` "random" every pair
of steps is independent; of "walk" it is 1 - |a - b| / 1024 of a walk over whole numbers (or |a - b| for a distance), which has
many ties: the first maximum has to win. Sums of these are exact or taken in the same order, so that steps agree exactly.
"""

import argparse
import json
import pathlib
import sys

import numpy

PLACE = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control/branch_schedules.json"
MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed: int):
        self.state = seed

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def uniform(self) -> float:
        return (self.next() >> 11) * 2.0**-53


def step_matrix(kind: str, seed: int, n_steps: int, is_distance: bool) -> numpy.ndarray:
    rng = SplitMix64(seed)
    if kind == "walk":
        at = numpy.cumsum([rng.next() % 7 for _ in range(n_steps)]).astype(numpy.float64)
        distance = numpy.abs(at[:, None] - at[None, :])
        return distance if is_distance else 1.0 - distance / 1024.0
    matrix = numpy.zeros((n_steps, n_steps))
    for i in range(n_steps):
        for j in range(i, n_steps):
            matrix[i, j] = matrix[j, i] = rng.uniform()
    return matrix


def scheduler(matrix: numpy.ndarray, n_updates: int, is_distance: bool) -> list[int]:
    """The dynamic programme over dp[m][i], m segments of the steps 0..i; the pointer is the last step of the segment before."""
    n_steps = len(matrix)
    best_of = numpy.argmin if is_distance else numpy.argmax
    cost = numpy.zeros((n_steps, n_steps))
    for a in range(n_steps):
        cost[a, a:] = numpy.cumsum(matrix[a, a:])
    dp = numpy.zeros((n_updates + 1, n_steps))
    pointer = numpy.zeros((n_updates + 1, n_steps), int)
    dp[1] = cost[0]
    for m in range(2, n_updates + 1):
        for i in range(m - 1, n_steps):
            candidates = [dp[m - 1, j] + cost[j + 1, i] for j in range(m - 2, i)]
            chosen = int(best_of(candidates))  # the first of equal ones
            dp[m, i] = candidates[chosen]
            pointer[m, i] = m - 2 + chosen
    starts, i = [0], n_steps - 1
    for m in range(n_updates, 1, -1):
        i = int(pointer[m, i])
        starts.append(i + 1)
    return sorted(starts)


def bubbling(steps: list[list[int]], volatility: list[float], n: int) -> list[list[int]]:
    """As the code does it: the chosen branches from front to back, each absorbing in place."""
    steps = [set(of_branch) for of_branch in steps]
    ranked = sorted(range(len(steps)), key=lambda b: volatility[b], reverse=True)  # stable
    chosen = ranked[:n]
    if len(chosen) >= 2:
        for b in sorted(chosen):
            for layer in range(b // 3, len(steps) // 3):
                steps[b] |= steps[3 * layer + 2]
    return [sorted(of_branch) for of_branch in steps]


def acs_cases() -> list[dict]:
    cases = []
    for seed, (n_steps, updates) in enumerate([(1, [1]), (2, [1, 2]), (7, [1, 2, 3, 7]), (20, [1, 2, 5, 10, 19, 20]),
                                               (100, [1, 2, 5, 10, 20, 50, 99, 100])]):
        for kind in ("random", "walk"):
            for is_distance in (False, True):
                matrix = step_matrix(kind, seed, n_steps, is_distance)
                cases += [{"kind": kind, "seed": seed, "n_steps": n_steps, "n_updates": n, "is_distance": is_distance,
                           "steps": scheduler(matrix, n, is_distance)} for n in updates]
    return cases


def bubbling_cases() -> list[dict]:
    cases = []
    for seed in range(12):
        rng = SplitMix64(1000 + seed)
        n_layers, n_steps = 1 + rng.next() % 6, 12
        n_branches = 3 * n_layers
        volatility = [float(rng.next() % 5) for _ in range(n_branches)]  # ties
        before = [[0] + [k for k in range(1, n_steps) if rng.next() % 4 == 0] for _ in range(n_branches)]
        for n in sorted({0, 1, 2, min(5, n_branches), n_branches}):
            cases.append({"n_layers": n_layers, "n_steps": n_steps, "n": n, "volatility": volatility, "before": before,
                          "after": bubbling(before, volatility, n)})
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    lists = {"acs": acs_cases(), "bubbling": bubbling_cases()}
    text = "{" + ",\n".join(f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "]"
                            for name, cases in lists.items()) + "}\n"
    if not arguments.check:
        PLACE.parent.mkdir(parents=True, exist_ok=True)
        PLACE.write_text(text)
    elif PLACE.read_text() != text:
        print(f"{PLACE}: differs from what this script makes; run it without --check", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
