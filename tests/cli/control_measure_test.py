#!/usr/bin/env python3
"""`reprise calibrate`, `eval pusht` and `bench control` as a user runs them, on the demo policy. REPRISE_PROGRAM is the program's path."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import tiny_policy

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


def run_program(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([os.environ["REPRISE_PROGRAM"], *arguments], capture_output=True, text=True, timeout=500,
                          stdin=subprocess.DEVNULL)


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def refused(self, arguments, code, *words):
        with self.subTest(arguments=arguments):
            done = run_program(*arguments)
            self.assertEqual(done.returncode, code, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertEqual(done.stdout, "")


class Calibrate(InFolder):
    def test_its_file_serves_the_policy_and_no_other_sampler(self):
        path = self.folder / "own.branch.gguf"
        command = ("calibrate", "pusht-demo", "--sampler", "ddim:steps=10", "--calls", "2", "--metric", "cosine", "--metric",
                   "mse")
        done = run_program(*command, "-o", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, f"{path}\n")
        again = self.folder / "again.branch.gguf"
        run_program(*command, "-o", str(again), "--threads", "1")
        self.assertEqual(path.read_bytes(), again.read_bytes())
        for branch in ("bac:updates=4", "joint:updates=4,metric=mse"):
            done = run_program("eval", "pusht", "pusht-demo", "--sampler", "ddim:steps=10", "--branch", f"{branch},file={path}",
                               "--seeds", "1", "--steps", "8", "--observations", "1")
            self.assertEqual(done.returncode, 0, done.stderr)
        short = ("--seeds", "1", "--steps", "8", "--observations", "1")
        self.refused(("eval", "pusht", "pusht-demo", "--branch", f"bac:updates=4,file={path}", *short), 1,
                     "reprise calibrate pusht-demo")
        self.refused(("eval", "pusht", "pusht-demo", "--sampler", "ddim:steps=10", "--branch",
                      f"bac:updates=4,metric=l1,file={path}", *short), 1, "l1")

    def test_takes_recorded_observations_of_any_robot(self):
        policy, recorded = self.folder / "kitchen policy.safetensors", self.folder / "recorded.safetensors"
        tiny_policy.write(policy, 24, 60, 9, env="kitchen")
        tiny_policy.write_observations(recorded, 20, 60)
        done = run_program("calibrate", str(policy), "--observations", str(recorded))
        self.assertEqual((done.returncode, done.stdout), (0, f"{policy.with_suffix('.branch.gguf')}\n"), done.stderr)
        self.assertNotIn("units", done.stderr)
        # Without Push-T the bench times the policy too, in the weight types that hold it: 24 is no multiple of 32.
        path = self.folder / "b.json"
        bench = ("bench", "control", str(policy), "--runs", "1", "--robots", "1", "--observations", "2")
        done = run_program(*bench, "--observations-file", str(recorded), "--json", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(path.read_text())
        subjects = [row["subject"] for row in report["rows"]]
        self.assertIn("ddpm bac:updates=10,bubbling=5", subjects)
        self.assertIn("ddpm full, f16", subjects)
        self.assertNotIn("ddpm full, q8_0", subjects)
        self.assertIn("no blocks of 32 for q8_0", " ".join(report["notes"]))
        self.refused(bench, 1, "it sees 60 numbers", "--observations-file")
        # Numbers that are not the robot's: taken, with a word.
        tiny_policy.write_observations(recorded, 20, 60, scale=512)
        done = run_program("calibrate", str(policy), "--observations", str(recorded), "--calls", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"\d+ numbers of observations lie outside \[-1.5, 1.5\]")
        tiny_policy.write_observations(recorded, 20, 20)
        for arguments, words in (((), "the policy sees [n, 2, 60]"), (("--calls", "21"), "[20, 2, 20]")):
            self.refused(("calibrate", str(policy), "--observations", str(recorded), *arguments), 1, words)
        tiny_policy.write_observations(recorded, 3, 60)
        self.refused(("calibrate", str(policy), "--observations", str(recorded)), 1, "--calls 16 needs one each", "--calls 3")
        self.refused(("calibrate", str(policy), "--observations", "/nonexistent"), 1, "/nonexistent")
        self.refused(("calibrate", str(policy)), 1, "'kitchen'", "--observations FILE")
        self.refused(("calibrate", str(policy), "--observations", str(recorded), "--env", "pusht"), 2, "--env")

    def test_refuses_what_it_cannot_measure(self):
        for arguments, code, words in (
            (["pusht-demo", "--metric", "cosin"], 2, "cosine"),
            (["pusht-demo", "--sampler", "ddim"], 2, "steps=N is missing"),
            (["pusht-demo", "--calls", "0"], 2, "--calls"),
            (["pusht-dema"], 1, "pusht-demo"),
            (["recall"], 1, "recall"),
            # Before the work: so many calls would take longer than a test may.
            (["pusht-demo", "--calls", "4096", "-o", "/nonexistent/x.gguf"], 1, "/nonexistent/x.gguf: the folder '/nonexistent' does not exist"),
        ):
            self.refused(["calibrate", *arguments], code, words)


class Eval(InFolder):
    def test_rows_are_paired_and_complete(self):
        path = self.folder / "e.json"
        done = run_program("eval", "pusht", "pusht-demo", "--sampler", "ddim:steps=5", "--sampler", "respaced:steps=5", "--seeds",
                           "3", "--steps", "40", "--observations", "2", "--json", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(path.read_text())
        rows = report["rows"]
        self.assertEqual([row["method"] for row in rows], ["ddpm full", "ddim:steps=5 full", "respaced:steps=5 full"])
        self.assertEqual([row["evaluations"] for row in rows], [100, 5, 5])
        self.assertEqual(rows[0]["action_rmse_px"], 0)
        self.assertEqual(rows[0]["score_over_full"], {"mean": 0, "standard_error": 0})
        self.assertGreater(report["noise_rmse_px"], 0)
        for row in rows:
            self.assertEqual(len(row["scores"]), 3)
            self.assertAlmostEqual(sum(row["scores"]) / 3, row["score"]["mean"])
            self.assertAlmostEqual(sum(a - b for a, b in zip(row["scores"], rows[0]["scores"])) / 3,
                                   row["score_over_full"]["mean"])
            self.assertEqual(row["solved"].count("1"), row["n_solved"])
            low, high = row["success_interval"]
            self.assertLessEqual(low, row["success"]["mean"])
            self.assertGreaterEqual(high, row["success"]["mean"])
            self.assertGreater(row["chunk_ms"], 0)
            self.assertGreaterEqual(row["chunk_p95_ms"], row["chunk_ms"])
            self.assertEqual(row["cache_bytes"], 0)  # nothing is reused
            self.assertIn(row["sampler"], done.stdout)
        self.assertRegex(done.stdout.splitlines()[0], r"evals +GFLOP +ms +p95 +cache +error px")
        svg = self.folder / "e.svg"
        subprocess.run(["python3", str(TOOLS / "plot_control.py"), str(path), str(svg)], check=True)
        self.assertEqual(svg.read_text().count("<title>"), 3)

    def test_surge_is_of_every_feed_forward(self):
        path = self.folder / "s.json"
        done = run_program("eval", "pusht", "pusht-demo", "--surge", "--observations", "1", "--json", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        surges = json.loads(path.read_text())["surge"]
        self.assertEqual([surge["bubbling"] for surge in surges], [0, 3, 5])
        for surge in surges:
            self.assertEqual(len(surge["feed_forward"]), 8)
            for of_layer, error in zip(surge["updates"], surge["feed_forward"]):
                mean = sum(e * e for _, e in of_layer) / len(of_layer)
                self.assertAlmostEqual(mean ** 0.5, error)
        self.assertLess(surges[0]["evaluations"], surges[2]["evaluations"])
        svg = self.folder / "s.svg"
        subprocess.run(["python3", str(TOOLS / "plot_surge.py"), str(path), str(svg)], check=True)
        self.assertIn("BAC, n = 5", svg.read_text())

    def test_refuses_what_it_cannot_measure(self):
        for arguments, code, words in (
            (["pusht-demo", "--branch", "bak"], 2, "did you mean 'bac'"),
            (["pusht-demo", "--branch", "bac:updates=500"], 1, "updates=500"),
            (["pusht-demo", "--sampler", "ddim:steps=101"], 2, "101"),
            (["pusht-demo", "--grid", "table", "--branch", "full"], 2, "--grid"),
            (["pusht-demo", "--first-seed", "4294967295", "--seeds", "2"], 2, "--first-seed"),
            *((["pusht-demo", "--surge", flag, "7"], 2, f"{flag} excludes --surge")
              for flag in ("--seeds", "--first-seed", "--steps")),
            (["pusht-demo", "--json", "/nonexistent/e.json"], 1, "/nonexistent"),
            (["recall"], 1, "recall"),
        ):
            self.refused(["eval", "pusht", *arguments], code, words)


class Bench(InFolder):
    def test_writes_every_ratio_that_the_docs_name(self):
        path = self.folder / "b.json"
        done = run_program("bench", "control", "--runs", "1", "--robots", "1,2", "--observations", "1", "--json", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(path.read_text())
        for key in ("full_share_of_flop_bound", "bac_s10_n5_vs_full_wall", "bac_s10_n3_vs_full_wall", "share_of_eval_count",
                    "flops_full_over_bac", "schedule_ms", "error_px_between_noises"):
            self.assertIn(key, report["ratios"])
        self.assertIn("pip install torch diffusers", " ".join(report["notes"]))
        rows = {(row["subject"], row["robots"]): row for row in report["rows"]}
        full, bac = (rows[f"ddpm {name}", 1] for name in ("full, f32", "bac:updates=10,bubbling=5"))
        self.assertEqual(full["evaluations"]["median"], 100)
        self.assertEqual(full["action_rmse_px"]["median"], 0)
        self.assertGreater(rows["ddpm full, q8_0", 1]["action_rmse_px"]["median"], 0)
        self.assertLess(bac["evaluations"]["median"], 25)
        self.assertAlmostEqual(full["gflop"]["median"] / bac["gflop"]["median"], report["ratios"]["flops_full_over_bac"])
        self.assertIn(("ddpm full, f32", 2), rows)

    def test_ratios_of_times_are_of_one_robot(self):
        path = self.folder / "b.json"
        for robots, has_them in (("2,1", True), ("2", False)):
            done = run_program("bench", "control", "--runs", "1", "--robots", robots, "--observations", "1", "--json",
                               str(path))
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(path.read_text())
            self.assertIn("flops_full_over_bac", report["ratios"])
            self.assertEqual("bac_s10_n5_vs_full_wall" in report["ratios"], has_them)
            self.assertEqual("share_of_eval_count" in report["ratios"], has_them)
            if not has_them:
                continue
            full, bac = (next(row for row in report["rows"] if (row["subject"], row["robots"]) == (f"ddpm {name}", 1))
                         for name in ("full, f32", "bac:updates=10,bubbling=5"))
            # One round: the ratio is that of its two times.
            self.assertAlmostEqual(report["ratios"]["bac_s10_n5_vs_full_wall"]
                                   / (full["chunk_ms"]["median"] / bac["chunk_ms"]["median"]), 1, places=3)

    def test_soak_shows_three_loops(self):
        path = self.folder / "soak.json"
        done = run_program("bench", "control", "--soak", "2s", "--json", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(path.read_text())
        self.assertEqual([row["subject"] for row in report["rows"]], ["no policy", "ddpm full", "ddpm bac:updates=10,bubbling=5"])
        for row in report["rows"]:
            self.assertEqual(row["ticks"]["median"], 20)
            self.assertGreater(row["chunks"]["median"], 0)
        for key in ("underruns_cost_bac", "misses_cost_bac_over_idle", "underruns_cost_full"):
            self.assertIn(key, report["ratios"])

    def test_interrupted_soak_reports_what_was_done(self):
        path = self.folder / "soak.json"
        run = subprocess.Popen([os.environ["REPRISE_PROGRAM"], "bench", "control", "--soak", "1h", "--json", str(path)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run.stderr.readline()  # it begins
        time.sleep(3)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, err)
        report = json.loads(path.read_text())
        row, = report["rows"]  # the next loop's turn is after 20 s
        self.assertEqual(row["subject"], "no policy")
        self.assertLess(row["seconds"], 20)
        self.assertEqual(round(row["ticks"]["median"] / 10), row["seconds"])
        self.assertEqual(report["ratios"], {})
        self.assertIn("no policy", out)

    def test_refuses_what_it_cannot_measure(self):
        for arguments, code, words in (
            (["--soak", "5 parsecs"], 2, "expected a time"),
            (["--soak", "2s", "--torch", "python3"], 2, "--torch"),
            *((["--soak", "2s", flag, *value], 2, f"{flag} excludes --soak")
              for flag, *value in (("--runs", "3"), ("--robots", "1"), ("--observations", "4"), ("--quick",),
                                   ("--observations-file", "x"))),
            (["--torch", "/nonexistent/python"], 1, "cannot be started"),
            (["--robots", "0"], 2, "--robots"),
            (["--html", "/nonexistent/b.html"], 1, "/nonexistent"),
            (["recall"], 1, "recall"),
        ):
            self.refused(["bench", "control", *arguments], code, words)


if __name__ == "__main__":
    unittest.main()
