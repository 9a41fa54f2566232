"""Writes a random diffusion policy, and recorded observations, as safetensors, for tests of the program."""

import array
import json
import math
import pathlib
import random
import struct

HORIZON, N_OBS_STEPS, N_LAYER = 6, 2, 2


def write_tensors(path: pathlib.Path, tensors: dict[str, tuple[list[int], list[float]]], metadata: dict[str, str]) -> None:
    """tensors: shape and values by name."""
    header, begin = {"__metadata__": metadata}, 0
    for name, (shape, values) in tensors.items():
        assert math.prod(shape) == len(values), name
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, begin + 4 * len(values)]}
        begin += 4 * len(values)
    head = json.dumps(header).encode()
    data = b"".join(array.array("f", values).tobytes() for _, values in tensors.values())
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def shapes(d: int, n_obs: int, n_action: int) -> dict[str, list[int]]:
    out = {"cond_obs_emb.weight": [d, n_obs], "cond_obs_emb.bias": [d], "cond_pos_emb": [1, 1 + N_OBS_STEPS, d],
           "encoder.0.weight": [4 * d, d], "encoder.0.bias": [4 * d], "encoder.2.weight": [d, 4 * d], "encoder.2.bias": [d],
           "input_emb.weight": [d, n_action], "input_emb.bias": [d], "pos_emb": [1, HORIZON, d], "ln_f.weight": [d],
           "ln_f.bias": [d], "head.weight": [n_action, d], "head.bias": [n_action]}
    for layer in range(N_LAYER):
        of_layer = {"linear1.weight": [4 * d, d], "linear1.bias": [4 * d], "linear2.weight": [d, 4 * d], "linear2.bias": [d]}
        for attention in ("self_attn", "multihead_attn"):
            of_layer |= {f"{attention}.in_proj_weight": [3 * d, d], f"{attention}.in_proj_bias": [3 * d],
                         f"{attention}.out_proj.weight": [d, d], f"{attention}.out_proj.bias": [d]}
        for i in (1, 2, 3):
            of_layer |= {f"norm{i}.weight": [d], f"norm{i}.bias": [d]}
        out |= {f"decoder.layers.{layer}.{name}": shape for name, shape in of_layer.items()}
    return out


def write(path: pathlib.Path, n_emb: int, n_obs: int, n_action: int, **metadata: str) -> None:
    """A decoder that sees n_obs numbers in -1 .. 1; the same one each time."""
    rng = random.Random(1)
    tensors = {f"model.{name}": (shape, [rng.gauss(0, 0.2) for _ in range(math.prod(shape))])
               for name, shape in shapes(n_emb, n_obs, n_action).items()}
    for kind, n in (("obs", n_obs), ("action", n_action)):
        for name, value in (("scale", 1), ("offset", 0), ("input_stats.min", -1), ("input_stats.max", 1)):
            tensors[f"normalizer.params_dict.{kind}.{name}"] = ([n], [value] * n)
    write_tensors(path, tensors, {"n_head": "4", "n_action_steps": "2", **metadata})


def write_observations(path: pathlib.Path, n: int, n_obs: int, scale: float = 1) -> None:
    rng = random.Random(2)
    values = [rng.uniform(-scale, scale) for _ in range(n * N_OBS_STEPS * n_obs)]
    write_tensors(path, {"obs": ([n, N_OBS_STEPS, n_obs], values)}, {})
