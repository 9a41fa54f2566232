#!/usr/bin/env python3
"""`reprise bench` as a user runs it: what needs no model, and refusals. REPRISE_PROGRAM is the program's path."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest


class Bench(unittest.TestCase):
    def run_program(self, *arguments: str, code: int) -> tuple[str, str]:
        done = subprocess.run([os.environ["REPRISE_PROGRAM"], *arguments], capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    def test_a_bad_number_of_threads_names_the_range(self):
        verbs = (("run", "m.gguf", "-p", "x", "--threads"), ("bench", "kv", "m.gguf", "--threads"),
                 ("bench", "kernels", "--threads"), ("bench", "machine", "--threads"),
                 ("bench", "threads", "m.gguf", "--threads-list"))
        for verb in verbs:
            for bad in ("0", "-1", "513", "99999999999999999999", "two", "2.5"):
                with self.subTest(verb=verb, bad=bad):
                    stdout, stderr = self.run_program(*verb, bad, code=2)
                    self.assertEqual(stdout, "")
                    self.assertIn(f"'{bad}' threads; expected a whole number from 1 to 512", stderr)

    def test_weight_lists_hold_words_of_weights(self):
        for bad in ("expand", "as-is,f16"):
            _, stderr = self.run_program("bench", "weights", "m.gguf", "--weights-list", bad, code=2)
            self.assertIn("expand=q8_0", stderr)

    def test_thread_lists_rise(self):
        _, stderr = self.run_program("bench", "threads", "m.gguf", "--threads-list", "4,2", code=1)
        self.assertIn("--threads-list 4,2: give rising numbers of threads from 1 to 512", stderr)

    def test_machine_writes_table_json_and_page(self):
        with tempfile.TemporaryDirectory() as folder:
            files = {name: pathlib.Path(folder) / name for name in ("m.json", "m.html")}
            stdout, _ = self.run_program("bench", "machine", "--threads", "1", "--runs", "1", "--json",
                                         str(files["m.json"]), "--html", str(files["m.html"]), code=0)
            self.assertIn("int8 multiply-add", stdout)
            report = json.loads(files["m.json"].read_text())
            self.assertEqual([roofline["threads"] for roofline in report["rooflines"]], [1, 2])
            for ceiling in report["rooflines"][0]["ceilings"]:
                self.assertGreater(ceiling["ridge_ops_a_byte"], 0)
            self.assertIn("Roofline, threads 2", files["m.html"].read_text())


if __name__ == "__main__":
    unittest.main()
