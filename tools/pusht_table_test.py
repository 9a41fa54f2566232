#!/usr/bin/env python3
"""Tests of pusht_table.py: its arithmetic by hand, and that docs/bac.md holds what it makes of the data beside it."""

import json
import pathlib
import unittest

import pusht_table

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def row(sampler: str, branch: str, evaluations: float = 10, mean: float = 0.5, **more) -> dict:
    return {"method": f"{sampler} {branch}", "sampler": sampler, "branch": branch, "evaluations": evaluations,
            "score": {"mean": mean}} | more


class Arithmetic(unittest.TestCase):
    def test_difference_is_paired(self):
        # Differences 1, 2, 3: mean 2, standard deviation 1, of three.
        self.assertEqual(pusht_table.difference({"scores": [2, 4, 6]}, {"scores": [1, 2, 3]}), "**+2.000 ± 0.577**")
        self.assertEqual(pusht_table.difference({"scores": [1, 2, 3]}, {"scores": [2, 4, 6]}), "**−2.000 ± 0.577**")
        self.assertEqual(pusht_table.difference({"scores": [1, 0, 2]}, {"scores": [0, 0, 0]}), "+1.000 ± 0.577")
        with self.assertRaises(ValueError):
            pusht_table.difference({"scores": [1, 2]}, {"scores": [1]})

    def test_trailing_hides_leading(self):
        rows = {r["method"]: r for r in [row("ddpm", "full"), row("ddim:steps=8", "full"), row("ddim:steps=10", "full"),
                                         row("ddim:steps=8,spacing=trailing", "full"), row("ddpm", "joint:updates=8")]}
        self.assertEqual(list(pusht_table.shown(rows)), [method for method in rows if method != "ddim:steps=8 full"])

    def test_nearest_is_the_better_of_equals(self):
        rows = [row("a", "x", 8, 0.1), row("b", "x", 9, 0.3), row("c", "x", 9.04, 0.4), row("d", "x", 30, 0.9)]
        self.assertEqual(pusht_table.nearest(rows, "evaluations", 9.2)["sampler"], "c")
        self.assertEqual(pusht_table.nearest(rows, "evaluations", 8)["sampler"], "a")

    def test_rows_measured_apart_are_marked(self):
        numbers = {"gflop_a_chunk": 1, "chunk_ms": 2, "chunk_p95_ms": 3, "cache_bytes": 2048, "action_rmse_px": 4,
                   "score": {"mean": 0.5, "standard_error": 0.1}, "score_over_full": {"mean": -0.1, "standard_error": 0.2},
                   "success": {"mean": 0.25, "standard_error": 0.03}}
        self.assertEqual(pusht_table.method_row(row("ddpm", "bac:updates=1", **numbers)),
                         "| **`bac:updates=1`** | 10.0 | 1.00 | 2.0 | 3.0 | 2 KiB | 4.0 | 0.500 ± 0.100 | −0.100 ± 0.200 | 25.0 ± 3.0 |")
        self.assertTrue(pusht_table.method_row(row("ddim:steps=5", "full", run=1, **numbers)).startswith("| `ddim:steps=5` † |"))
        self.assertIn("| 0.500 ± 0.100 |  |", pusht_table.method_row(row("ddpm", "full", **numbers)))


class Documentation(unittest.TestCase):
    def test_holds_the_tables(self):
        page = (DOCS / "bac.md").read_text()
        for table in pusht_table.tables(json.loads((DOCS / "data" / "pusht_methods.json").read_text())):
            self.assertIn(table, page, "print it: tools/pusht_table.py docs/data/pusht_methods.json")


if __name__ == "__main__":
    unittest.main()
