#!/usr/bin/env python3
"""pusht_demonstrations as a user runs it. REPRISE_PUSHT_DEMONSTRATIONS and REPRISE_PUSHT_REPLAY are the programs' paths."""

import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest


def run_program(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([os.environ["REPRISE_PUSHT_DEMONSTRATIONS"], *arguments], capture_output=True, text=True, timeout=300)


def tensors(path: pathlib.Path) -> tuple[dict, dict]:
    """Header and values of a safetensors file of F64 and I64."""
    raw = path.read_bytes()
    n_header = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + n_header])
    values = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, end = (8 + n_header + offset for offset in entry["data_offsets"])
            values[name] = struct.unpack(f"<{(end - first) // 8}{'d' if entry['dtype'] == 'F64' else 'q'}", raw[first:end])
    return header, values


class Demonstrations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "demo.safetensors"

    def test_states_follow_from_actions(self):
        done = run_program("--out", str(self.path), "--episodes", "3", "--first-seed", "100000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 of 3 episodes solved", done.stdout)
        header, values = tensors(self.path)
        n = sum(values["length"])
        self.assertEqual(values["solved"], (1, 1, 1))
        self.assertEqual((header["state"]["shape"], header["action"]["shape"]), ([n, 5], [n, 2]))
        self.assertEqual(header["__metadata__"]["first_seed"], "100000")
        n_first = values["length"][0]
        start = "235 124 335 128 -0.9049274284249247"  # seed 100000
        actions = "\n".join(map(repr, values["action"][:2 * n_first]))
        replay = subprocess.run([os.environ["REPRISE_PUSHT_REPLAY"]], input=f"{start}\n{actions}", capture_output=True, text=True,
                                timeout=60, check=True)
        rows = [[float(word) for word in line.split()] for line in replay.stdout.splitlines()]
        self.assertEqual(len(rows), n_first + 1)
        for i, row in enumerate(rows[:-1]):
            self.assertEqual(tuple(row[:5]), values["state"][5 * i:5 * i + 5])
        self.assertGreater(rows[-1][5], 0.95)

    def test_threads_do_not_change_a_byte(self):
        files = []
        for threads in ("1", "3"):
            done = run_program("--out", str(self.path), "--episodes", "5", "--noise-share", "0.1", "--noise-px", "3", "--threads",
                               threads)
            self.assertEqual(done.returncode, 0, done.stderr)
            files.append(self.path.read_bytes())
        self.assertEqual(*files)

    def test_refuses_bad_recipes(self):
        for arguments, code, words in (
            ([], 2, "--out is required"),
            (["--out", "x", "--episodes", "0"], 2, "--episodes"),
            (["--out", "x", "--lookahead", "3"], 2, "--lookahead"),
            (["--out", "x", "--noise-share", "2"], 1, "a share of 2 of the actions; expected 0 to 1"),
            (["--out", "/nonexistent/x", "--episodes", "1"], 1, "/nonexistent/x"),
        ):
            with self.subTest(arguments=arguments):
                done = run_program(*arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
