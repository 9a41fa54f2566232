#!/usr/bin/env python3
"""Tests of convert_policy.py on the tiny random policy of the golden data. Skipped (77) without numpy and gguf."""

import copy
import pathlib
import pickle
import subprocess
import sys
import tempfile
import types
import unittest

try:
    import gguf
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

try:
    import dill
    import torch
except ImportError:
    dill = torch = None  # only the reference's own checkpoints need them

import convert_policy
import safetensors_file
import torch_checkpoint
from policy_checkpoint import PolicyError

TINY = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control/policy-tiny.safetensors"
TINY_ENCODER = TINY.with_name("policy-tiny-encoder.safetensors")
ABOUT = {"name": "tiny", "env": "pusht", "control_hz": 20.0, "observation": "five numbers"}


class Node:
    """Stands for omegaconf's containers and values, by the names of their fields."""

    def __init__(self, **fields: object):
        self.__dict__.update(fields)


def node(value: object) -> Node:
    if isinstance(value, dict):
        return Node(_content={key: node(inner) for key, inner in value.items()})
    return Node(_val=value)


class ConvertPolicy(unittest.TestCase):
    def take(self, path: pathlib.Path):
        self.tensors = {name: tensor.values().copy() for name, tensor in safetensors_file.read_files([path]).items()}
        self.metadata = safetensors_file.read_metadata(path)

    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.root = pathlib.Path(self.place.name)
        self.out = self.root / "out.gguf"
        self.take(TINY)

    def convert(self, kind: str = "f32") -> gguf.GGUFReader:
        path = self.root / "policy.safetensors"
        safetensors_file.write(path, self.tensors, self.metadata)
        convert_policy.convert(convert_policy.read_safetensors(path, None, None), self.out, kind, ABOUT)
        return gguf.GGUFReader(self.out)

    def assert_refused(self, *words: str, kind: str = "f32"):
        with self.assertRaises((PolicyError, safetensors_file.SafetensorsError)) as caught:
            self.convert(kind)
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertEqual([path.name for path in self.root.iterdir()], ["policy.safetensors"])

    def test_keeps_every_value(self):
        reader = self.convert()
        own = {tensor.name: tensor for tensor in reader.tensors}
        self.assertEqual(len(own), len(self.tensors))
        for name, values in self.tensors.items():
            tensor = own[convert_policy.policy_checkpoint.own_name(name)]
            numpy.testing.assert_array_equal(tensor.data.reshape(values.shape), values)
            self.assertEqual([n for n in tensor.shape if n > 1], [n for n in reversed(values.shape) if n > 1])

    def test_says_what_the_policy_is(self):
        fields = {key: field.contents() for key, field in self.convert().fields.items()}
        wanted = {"general.architecture": "dp", "general.name": "tiny", "dp.arch": "transformer", "dp.horizon": 6,
                  "dp.n_obs_steps": 3, "dp.n_action_steps": 2, "dp.obs_dim": 5, "dp.action_dim": 3, "dp.n_layer": 2,
                  "dp.n_head": 4, "dp.n_emb": 32, "dp.causal": True, "dp.encoder_only": False,
                  "dp.scheduler.train_steps": 100, "dp.scheduler.beta_schedule": "squaredcos_cap_v2",
                  "dp.scheduler.prediction_type": "epsilon", "dp.scheduler.clip_sample": True,
                  "dp.scheduler.variance_type": "fixed_small", "dp.env": "pusht", "dp.control_hz": 20.0,
                  "dp.observation": "five numbers"}
        self.assertEqual({key: fields.get(key) for key in wanted}, wanted)

    def test_takes_the_form_without_a_decoder(self):
        self.take(TINY_ENCODER)
        self.test_keeps_every_value()
        fields = {key: field.contents() for key, field in gguf.GGUFReader(self.out).fields.items()}
        wanted = {"dp.encoder_only": True, "dp.horizon": 6, "dp.n_obs_steps": 3, "dp.obs_dim": 5, "dp.action_dim": 3,
                  "dp.n_layer": 2}
        self.assertEqual({key: fields.get(key) for key in wanted}, wanted)
        self.out.unlink()
        self.metadata.pop("n_obs_steps")
        self.assert_refused("--n-obs-steps")

    def test_rounds_the_layers_matrices_alone(self):
        for kind, wanted in (("f16", gguf.GGMLQuantizationType.F16), ("q8_0", gguf.GGMLQuantizationType.Q8_0)):
            own = {tensor.name: tensor for tensor in self.convert(kind).tensors}
            for name in ("decoder.layers.1.linear2.weight", "decoder.layers.0.self_attn.in_proj_weight", "encoder.0.weight"):
                self.assertEqual(own[name].tensor_type, wanted)
            for name in ("pos_emb", "norm.obs.scale", "decoder.layers.0.norm1.weight", "head.weight"):
                self.assertEqual(own[name].tensor_type, gguf.GGMLQuantizationType.F32)

    def test_keeps_what_f16_holds_in_f16(self):
        self.tensors["model.head.weight"] = self.tensors["model.head.weight"].astype("f2").astype("f4")
        own = {tensor.name: tensor for tensor in self.convert("f16").tensors}
        self.assertEqual(own["head.weight"].tensor_type, gguf.GGMLQuantizationType.F16)

    def test_refuses_tensors(self):
        name = "model.decoder.layers.1.linear2.weight"
        cases = [(lambda t: t.pop(name), ["layers.1.linear2.weight", "missing"]),
                 (lambda t: t.update({name: t[name].T}), ["[128, 32]", "[32, 128]"]),
                 (lambda t: t[name].__setitem__((1, 2), numpy.nan), ["finite"]),
                 (lambda t: t.update({"model.more": t[name]}), ["'more'", "no place"]),
                 (lambda t: t.update({"model.encoder.layers.0.norm1.bias": t[name][0]}), ["n_cond_layers"]),
                 (lambda t: t.update({name.removeprefix("model."): t[name]}), ["with and without"]),
                 (lambda t: t.pop("model.cond_obs_emb.weight"), ["cond_obs_emb.weight"]),
                 (lambda t: t.pop("normalizer.params_dict.obs.scale"), ["norm.obs.scale", "missing"]),
                 (lambda t: t["normalizer.params_dict.obs.scale"].__setitem__(1, 0), ["cannot be undone"])]
        whole = self.tensors
        for change, words in cases:
            with self.subTest(words=words):
                self.tensors = {key: values.copy() for key, values in whole.items()}
                change(self.tensors)
                self.assert_refused(*words)

    def test_refuses_metadata(self):
        cases = [("n_head", None, "--n-head"), ("n_head", "5", "n_head 5"), ("n_head", "x", "'x'"), ("n_head", "0", "n_head is 0"),
                 ("n_action_steps", None, "--n-action-steps"), ("n_action_steps", "5", "beyond the horizon"),
                 ("n_action_steps", "6", "pred_action_steps_only"), ("pred_action_steps_only", "True", "pred_action_steps_only"),
                 ("n_layer", "3", "n_layer = 3"), ("beta_schedule", "linear", "'linear'"),
                 ("prediction_type", "v_prediction", "v_prediction"), ("variance_type", "learned", "learned"),
                 ("num_train_timesteps", "0", "0 training timesteps"), ("clip_sample", "maybe", "true or false")]
        whole = self.metadata
        for key, value, word in cases:
            with self.subTest(key=key, value=value):
                self.metadata = {**whole, key: value} if value is not None else {k: v for k, v in whole.items() if k != key}
                self.assert_refused(word)

    def test_refuses_what_a_type_cannot_hold(self):
        self.tensors["model.decoder.layers.0.linear1.weight"][0, 0] = 70000
        self.assert_refused("linear1.weight", "65504", kind="f16")

    def add_what_the_reference_saves_besides(self):
        """The rest of the state dict of its DiffusionTransformerLowdimPolicy."""
        mask = numpy.triu(numpy.full((6, 6), -numpy.inf, "f4"), 1)
        self.tensors |= {"model.mask": mask, "model.memory_mask": mask[:, :4]}
        self.tensors |= {f"{module}_dummy_variable": numpy.zeros(0, "f4") for module in ("", "model.", "mask_generator.")}
        for kind, n in (("obs", 5), ("action", 3)):
            for statistic in ("mean", "std"):
                self.tensors[f"normalizer.params_dict.{kind}.input_stats.{statistic}"] = numpy.ones(n, "f4")

    def assert_is_the_tiny_policy(self):
        whole = {name: tensor.values() for name, tensor in safetensors_file.read_files([TINY]).items()}
        own = {tensor.name: tensor for tensor in gguf.GGUFReader(self.out).tensors}
        self.assertEqual(len(own), len(whole))
        numpy.testing.assert_array_equal(own["head.bias"].data, whole["model.head.bias"])

    def test_reads_past_what_the_reference_saves_besides(self):
        self.add_what_the_reference_saves_besides()
        self.metadata = {"n_head": "4", "n_action_steps": "2"}
        self.convert()
        self.assert_is_the_tiny_policy()

    def save_checkpoint(self, config: dict, *, has_average: bool = True) -> pathlib.Path:
        """As the reference's workspace does. Classes of its configuration are not there when the file is read."""
        state = {name: torch.from_numpy(values) for name, values in self.tensors.items()}
        states = {"model": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}}
        if has_average:
            states |= {"model": {name: torch.zeros_like(values) for name, values in state.items()}, "ema_model": state}
        path = self.root / "latest.ckpt"
        gone = types.ModuleType("gone")
        gone.Node = Node
        Node.__module__ = "gone"
        sys.modules["gone"] = gone
        try:
            torch.save({"cfg": node(config), "state_dicts": states, "pickles": {"epoch": dill.dumps(7)}}, path, pickle_module=dill)
        finally:
            del sys.modules["gone"]
        return path

    # As the reference's transformer configurations have it, but for the sizes.
    CONFIG = {"obs_as_cond": True, "pred_action_steps_only": False, "n_obs_steps": 3, "n_action_steps": 2, "horizon": 6,
              "sizes": "${policy.model}",
              "policy": {"n_action_steps": "${n_action_steps}", "n_obs_steps": "${n_obs_steps}",
                         "pred_action_steps_only": "${pred_action_steps_only}",
                         "model": {"n_head": 4, "causal_attn": True, "horizon": "${horizon}",
                                   "input_dim": "${eval:'${action_dim} if ${obs_as_cond} else ${obs_dim}'}"},
                         "noise_scheduler": {"num_train_timesteps": 100, "beta_start": 0.0001, "prediction_type": "sample",
                                             "beta_schedule": "squaredcos_cap_v2", "variance_type": "fixed_small"}}}

    def config(self, **changes: object) -> dict:
        """CONFIG with other values: policy__model__n_head=8."""
        config = copy.deepcopy(self.CONFIG)
        for name, value in changes.items():
            *groups, key = name.split("__")
            group = config
            for inner in groups:
                group = group[inner]
            group[key] = value
        return config

    @unittest.skipIf(torch is None, "torch and dill are not installed")
    def test_reads_the_references_checkpoint(self):
        self.add_what_the_reference_saves_besides()
        path = self.save_checkpoint(self.config())
        policy = torch_checkpoint.read(path, None, None)
        self.assertEqual((policy.sizes.n_head, policy.sizes.n_action_steps, policy.noise.prediction_type), (4, 2, "sample"))
        self.assertEqual((policy.sizes.causal, policy.noise.num_train_timesteps), (True, 100))
        done = subprocess.run([sys.executable, convert_policy.__file__, path, self.out, "--trust", "--type", "f32"],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assert_is_the_tiny_policy()
        # Without a word on it the mask tells; without an average the weights themselves are taken.
        config = self.config()
        config["policy"]["model"].pop("causal_attn")
        self.assertTrue(torch_checkpoint.read(self.save_checkpoint(config, has_average=False), None, None).sizes.causal)
        self.tensors.pop("model.mask")
        self.assertFalse(torch_checkpoint.read(self.save_checkpoint(config, has_average=False), None, None).sizes.causal)

    @unittest.skipIf(torch is None, "torch and dill are not installed")
    def test_follows_names_in_the_configuration(self):
        read = torch_checkpoint.read
        # Along groups and over several steps.
        path = self.save_checkpoint(self.config(policy__n_action_steps="${other.n}", other={"n": "${n_action_steps}"},
                                                policy__model__n_head="${sizes.heads}", policy__model__heads=4))
        sizes = read(path, None, None).sizes
        self.assertEqual((sizes.n_head, sizes.n_action_steps), (4, 2))
        for changes, words in (({"policy__model__n_head": None}, "no 'policy.model.n_head'"),
                               ({"n_action_steps": None}, "no 'policy.n_action_steps'"),
                               ({"policy__n_action_steps": "${eval:'1+1'}"}, "eval.*give it on the command line"),
                               ({"n_action_steps": "${policy.n_action_steps}"}, "leads to no value"),
                               ({"policy__model__n_head": "${policy.model.n_head.x}"}, "leads to no value"),
                               ({"pred_action_steps_only": True}, "trained with pred_action_steps_only"),
                               ({"n_action_steps": 6}, "whole horizon.*pred_action_steps_only")):
            with self.subTest(changes=changes), self.assertRaisesRegex(PolicyError, words):
                convert_policy.convert(read(self.save_checkpoint(self.config(**changes)), None, None), self.out, "f32")
        path = self.save_checkpoint(self.config(policy__n_action_steps="${eval:'1+1'}"))
        self.assertEqual(read(path, None, 2).sizes.n_action_steps, 2)  # as --n-action-steps gives it

    def test_program(self):
        script = pathlib.Path(convert_policy.__file__)

        def run(*arguments: object) -> subprocess.CompletedProcess:
            return subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True)

        done = run(TINY, self.out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, f"{self.out}: {self.out.stat().st_size} bytes\n")
        pickled = self.root / "latest.ckpt"
        pickled.write_bytes(pickle.dumps({"state_dicts": {}}))
        for arguments, word in (((pickled, self.out), "executes code"), ((self.root / "none.safetensors", self.out), "none"),
                                ((pickled, self.out, "--trust"), "error: ")):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
