#!/usr/bin/env python3
"""Tests of dllm_table.py by table."""

import unittest

import dllm_table


def row(span: str, right: str, costs: list[int], **more) -> dict:
    n = len(right)
    return {"span": span, "commit": "top1", "refresh": "none", "n": n, "n_right": right.count("1"), "right": right,
            "rows_by_prompt": costs, "interval": [0.1, 0.9], "token_forwards": sum(costs), "n_full_passes": 8,
            "n_partial_passes": 12, "n_tokens": 40, "mean_span": 4.0, "forced_share": 0.25, "n_forced_wrong": 3,
            "right_lines_share": 0.7, "tasks": {"story": {"n": n, "n_right": right.count("1")}}} | more


class Table(unittest.TestCase):
    def test_mcnemar(self):
        for losses, gains, p in ((0, 0, 1), (3, 3, 1), (0, 5, 2 / 32), (1, 5, 14 / 64), (5, 1, 14 / 64)):
            self.assertAlmostEqual(dllm_table.mcnemar(losses, gains), p)

    def test_a_row(self):
        first, second = row("whole", "1100", [4, 4, 4, 4]), row("adablock", "1011", [2, 2, 2, 2], late_share=0.5)
        lines = dllm_table.table([first, second])
        self.assertEqual(lines[3], "| `adablock` | `top1` | `none` | 3: 75.0 (10.0..90.0) | +2 -1 | 1 | 3 | 70.0 | 2 | 2.0 + 3.0 | "
                                   "2.0 | 4.0 | 25.0 | 15.0 | 50.0 |")
        self.assertIn("| - | - |", lines[2])
        self.assertIn("| +1 -2 | 1 |", dllm_table.table([first, second], against=2)[2])
        self.assertEqual(len(dllm_table.table([first, second, first | {"refresh": "dual"}], against=2, only="dual")), 4)
        with self.assertRaises(ValueError):
            dllm_table.table([first, row("whole", "11", [4, 4])])

    def test_what_fixed_spans_reach(self):
        points = [(10.0, 0.5), (20.0, 0.4), (30.0, 0.7)]  # the middle one costs more and gives less
        for cost, share in ((5, 0.5), (10, 0.5), (20, 0.6), (30, 0.7), (99, 0.7)):
            self.assertAlmostEqual(dllm_table.reached(points, cost), share)

    def test_gain_at_equal_rows(self):
        fixed = [row("fixed:len=4", "0101" * 10, [10] * 40), row("whole", "1101" * 10, [20] * 40)]
        gain, low, high = dllm_table.gain_at_equal_rows(row("adablock", "1111" * 10, [15] * 40), fixed)
        self.assertAlmostEqual(gain, 1 - 0.625)
        self.assertTrue(low < gain < high)


if __name__ == "__main__":
    unittest.main()
