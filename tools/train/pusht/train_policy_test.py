#!/usr/bin/env python3
"""Tests of the Push-T training recipe. Passed over (77) without PyTorch, numpy and safetensors."""

import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    import torch
    from safetensors import safe_open
    from safetensors.numpy import save_file
except ImportError as missing:
    print(f"passed over: {missing}")
    sys.exit(77)

import demonstrations
import policy_model
from policy_torch import Sizes

SCRIPT = pathlib.Path(__file__).with_name("train_policy.py")


def written(folder: str, lengths=(30, 20), solved=(1, 0)) -> str:
    """A file as pusht_demonstrations writes it, with random numbers."""
    rng = numpy.random.default_rng(1)
    n = sum(lengths)
    path = f"{folder}/demo.safetensors"
    save_file({"state": rng.uniform(0, 500, (n, 5)), "action": rng.uniform(0, 512, (n, 2)),
               "length": numpy.array(lengths, numpy.int64), "solved": numpy.array(solved, numpy.int64)}, path)
    return path


class Windows(unittest.TestCase):
    def test_observations_are_those_of_the_world(self):
        upright = [40, 200, 160, 200, 160, 230, 115, 230, 115, 320, 85, 320, 85, 230, 40, 230, 7, 8]  # observation_test.cc
        self.assertEqual(demonstrations.observations(numpy.array([[7.0, 8, 100, 200, 0]])).tolist(), [upright])
        turned = demonstrations.observations(numpy.array([[7.0, 8, 100, 200, math.pi / 2]]))[0]
        self.assertAlmostEqual(float(turned[0]), 100, delta=1e-4)
        self.assertAlmostEqual(float(turned[1]), 140, delta=1e-4)

    def test_unsolved_episodes_are_left_out_and_edges_repeat(self):
        with tempfile.TemporaryDirectory() as folder:
            data = demonstrations.Demonstrations.load(written(folder, (20, 30, 20), (0, 1, 1)))
        self.assertEqual(data.lengths, [30, 20])
        self.assertEqual(len(data.obs), 50)
        windows = data.windows(16, 2, 8)
        self.assertEqual(len(windows), (30 - 8 + 1) + (20 - 8 + 1))  # starts -1 .. n - 9
        self.assertEqual(windows[0].tolist(), [0, *range(15)])
        self.assertEqual(windows[22].tolist(), [*range(21, 30), *[29] * 7])
        self.assertEqual(windows[23].tolist(), [30, *range(30, 45)])

    def test_no_solved_episode_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(ValueError, "no episode is solved"):
                demonstrations.Demonstrations.load(written(folder, (20,), (0,)))

    def test_normalised_channels_fill_their_range_and_constant_ones_are_zero(self):
        values = numpy.array([[1.0, 7, -5], [3, 7, 5], [2, 7, 0]], numpy.float32)
        affine = demonstrations.Affine.fitted(values)
        self.assertEqual(affine(values).tolist(), [[-1, 0, -1], [1, 0, 1], [0, 0, 0]])
        self.assertEqual(affine.scale.tolist(), [1, 1, numpy.float32(0.2)])


class Model(unittest.TestCase):
    def test_the_schedule_is_the_references(self):
        signal = policy_model.kept_signal(100)
        for i, want in ((0, 0.99936872), (10, 0.9667167), (50, 0.47826463), (98, 2.4285723e-4), (99, 2.4285723e-7)):
            self.assertAlmostEqual(float(signal[i]) / want, 1, delta=1e-6)

    def test_masks_and_sizes(self):
        model = policy_model.PolicyTransformer(Sizes(1, 4, 32, 4, 3, 2, 18, 2), 0.0)
        for t in range(4):
            for s in range(4):
                self.assertEqual(float(model.memory_mask[t, s]), 0 if t >= s - 1 else -math.inf)
                self.assertEqual(float(model.mask[t, s]), 0 if s <= t else -math.inf)
        full = policy_model.PolicyTransformer(Sizes(8, 4, 256, 16, 2, 8, 20, 2), 0.0)
        self.assertEqual(sum(p.numel() for p in full.parameters()), 8_965_122)  # of the paper's Push-T policy

    def test_an_average_of_a_still_model_is_the_model(self):
        model = torch.nn.Linear(2, 2)
        average = policy_model.Average(model)
        with torch.no_grad():
            model.weight.fill_(3.0)
        for _ in range(20_000):
            average.step(model)
        self.assertTrue(torch.allclose(average.values["weight"], model.weight, atol=1e-5))


class Program(unittest.TestCase):
    def run_program(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=300)

    def test_writes_the_references_names(self):
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/policy.safetensors"
            done = self.run_program("--data", written(folder), "--out", out, "--n-embd", "16", "--n-layer", "2", "--batch", "8",
                                    "--steps", "3", "--device", "cpu")
            self.assertEqual(done.returncode, 0, done.stderr)
            with safe_open(out, "numpy") as file:
                metadata, names = file.metadata(), set(file.keys())
                self.assertEqual(file.get_tensor("model.decoder.layers.1.self_attn.in_proj_weight").shape, (48, 16))
                self.assertEqual(file.get_tensor("normalizer.params_dict.obs.scale").shape, (18,))
                self.assertEqual(file.get_tensor("model.head.weight").dtype, numpy.float16)
            self.assertEqual(metadata["steps"], "3")
            self.assertEqual((metadata["n_layer"], metadata["n_emb"], metadata["horizon"]), ("2", "16", "16"))
            self.assertEqual(len(names), 2 * 18 + 14 + 8)  # layers; the rest of the net; the normaliser
            self.assertIn("model.cond_pos_emb", names)

    def test_refuses_what_cannot_be_trained(self):
        done = self.run_program("--data", "/nonexistent/d.safetensors", "--out", "p", "--steps", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/d.safetensors", done.stderr)
        done = self.run_program("--data", "d", "--out", "p", "--n-embd", "30")
        self.assertEqual(done.returncode, 2)
        self.assertIn("multiple of --n-head", done.stderr)


if __name__ == "__main__":
    unittest.main()
