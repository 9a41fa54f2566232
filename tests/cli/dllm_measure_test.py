#!/usr/bin/env python3
"""`reprise eval dllm` and `reprise bench dllm` as a user runs them, on the demo model. REPRISE_PROGRAM is the program's path."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest


def run_program(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([os.environ["REPRISE_PROGRAM"], *arguments], capture_output=True, text=True, timeout=500,
                          stdin=subprocess.DEVNULL)


class Eval(unittest.TestCase):
    def test_counts_add_up_and_paired_outcomes_are_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "e.json"
            done = run_program("eval", "dllm", "dllm-demo", "--n", "2", "--span", "fixed:len=32", "--span", "adablock",
                               "--span", "shuffled", "--refresh", "dual", "--json", str(path))
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = json.loads(path.read_text())["rows"]
            self.assertEqual([row["span"] for row in rows], ["fixed:len=32", "adablock", "shuffled"])
            for row in rows:
                self.assertEqual(row["n"], 8)
                self.assertEqual(row["right"].count("1"), row["n_right"])
                self.assertEqual(sum(task["n_right"] for task in row["tasks"].values()), row["n_right"])
                self.assertEqual(sum(task["n"] for task in row["tasks"].values()), 8)
                # Every span begins with a full pass; the padded canvas has 384 rows.
                self.assertEqual(row["n_full_passes"], row["n_spans"])
                self.assertGreaterEqual(row["token_forwards"], 384 * row["n_full_passes"])
                self.assertEqual(row["tasks"]["record"]["n_right"], 2)
                self.assertIn(row["span"], done.stdout)
                self.assertEqual(sum(row["rows_by_prompt"]), row["token_forwards"])

    def test_end_tokens(self):
        arguments = ("eval", "dllm", "dllm-demo", "--n", "1", "--span", "adablock:delimiters=1", "--refresh", "dual")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "e.json"
            done = run_program(*arguments, "--eos", "never", "--json", str(path))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("delimiters=1: token 1 ends the answer, so spans end with it, too", done.stderr)
            report = json.loads(path.read_text())
        self.assertEqual((report["eos"], report["rows"][0]["n_tokens"]), ("never", 4 * 128))
        self.assertEqual(report["rows"][0]["tasks"]["record"]["n_right"], 0)  # no record is that long

    def test_refuses_what_it_cannot_measure(self):
        for arguments, code, words in (
            (["--span", "adablok"], 2, "did you mean 'adablock'"),
            (["--grid", "spans", "--span", "whole"], 2, "--grid"),
            (["--prompts", "/nonexistent/p.jsonl", "--span", "whole"], 1, "/nonexistent/p.jsonl"),
            (["--span", "fixed:len=7", "--commit", "quota"], 1, "7"),
            (["--pad-canvas", "100", "--span", "whole"], 1, "canvas of 100 rows"),
            (["--pad-canvas", "1000", "--span", "whole"], 1, "--pad-canvas 1000: the model was trained for 384 rows"),
            (["--max-tokens", "4000", "--pad-canvas", "0", "--span", "whole"], 1, "trained for 384"),
        ):
            with self.subTest(arguments=arguments):
                done = run_program("eval", "dllm", "dllm-demo", "--n", "1", *arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(words, done.stderr)
        done = run_program("eval", "dllm", "recall", "--n", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is no diffusion language model", done.stderr)


class Bench(unittest.TestCase):
    def test_writes_every_ratio_that_the_docs_name(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "b.json"
            done = run_program("bench", "dllm", "dllm-demo", "--runs", "1", "--n", "1", "--exact-n", "1", "--json",
                               str(path))
            self.assertEqual(done.returncode, 0, done.stderr)
            ratios = json.loads(path.read_text())["ratios"]
            for key in ("token_forwards_top1_over_dual_adablock", "wall_speedup_dual_adablock_vs_no_cache_top1",
                        "planning_share_of_step", "plan_rows_share_of_step", "passes_per_s_vs_libllama",
                        "pass_share_of_int8_bound", "adablock_minus_best_fixed_at_equal_forwards",
                        "adablock_minus_shuffled", "exact_match_dual_adablock_minus_top1", "exact_match_top1_story", "exact_match_top1_record",
                        "exact_match_top1_control", "exact_match_top1_listing"):
                self.assertIn(key, ratios)
            self.assertEqual(ratios["exact_match_top1_record"], 1)
            self.assertGreater(ratios["token_forwards_top1_over_dual_adablock"], 1)


if __name__ == "__main__":
    unittest.main()
