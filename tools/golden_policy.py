#!/usr/bin/env python3
"""Writes the golden data of the policy transformer under tests/golden/control: tiny random networks, and what PyTorch makes of them.

    python3 -m venv .venv && .venv/bin/pip install torch numpy
    .venv/bin/python tools/golden_policy.py [--check]

policy-tiny.safetensors   the network, F32, with the names of the reference's state dict
policy-tiny.bin           little-endian F32, one after the other: noisy actions [6][3], observations [3][5], then for each of the
                          timesteps 0, 37 and 99: for each of the 6 branches (self attention, cross attention, feed-forward of
                          layer 0, then of layer 1) its input h [6][32] and its result before the addition [6][32], and the
                          network's output [6][3]
policy-tiny-encoder.*     the same of the form without a decoder: actions with observations beside them [6][8], then for each
                          timestep: of the 4 branches (self attention, feed-forward) h and result [7][32], and the output [6][8]

Computed in F64 and rounded: what Reprise computes in F32 differs by its own roundings alone. --check compares only, and
compares PyTorch's F32 with its F64 too.
"""

import argparse
import pathlib
import sys

import numpy
import torch

import safetensors_file
from policy_torch import Sizes, TransformerEncoderForDiffusion, TransformerForDiffusion

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control"
SIZES = Sizes(n_layer=2, n_head=4, n_emb=32, horizon=6, n_obs_steps=3, n_action_steps=2, obs_dim=5, action_dim=3)
TIMESTEPS = (0, 37, 99)
SEED = 1
TOLERANCE = 1e-5  # what the project grants F32


Network = TransformerForDiffusion | TransformerEncoderForDiffusion
NETWORKS = {"policy-tiny": TransformerForDiffusion, "policy-tiny-encoder": TransformerEncoderForDiffusion}


def random_network(kind: type[Network]) -> Network:
    """Weights as large as training makes them, norms and biases away from one and zero: no term may hide."""
    torch.manual_seed(SEED)
    network = kind(SIZES)
    with torch.no_grad():
        for name, values in network.named_parameters():
            if name.startswith(("pos_emb", "cond_pos_emb")):
                values.normal_(0, 0.5)
            elif "norm" in name or "ln_f" in name:
                values.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
            elif values.dim() > 1:
                values.normal_(0, values.shape[1] ** -0.5)
            else:
                values.normal_(0, 0.3)
    return network.eval()


def branches(network: Network, run) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Input and result of every branch while run() computes the network."""
    inputs, results, hooks = {}, {}, []
    is_encoder = isinstance(network, TransformerEncoderForDiffusion)
    n = 2 if is_encoder else 3  # branches of a layer
    for i, layer in enumerate((network.encoder if is_encoder else network.decoder).layers):
        for j in range(n):
            norm, dropout = getattr(layer, f"norm{j + 1}"), getattr(layer, f"dropout{j + 1}")
            b = n * i + j
            hooks.append(norm.register_forward_hook(lambda _, args, out, b=b: inputs.__setitem__(b, args[0])))
            hooks.append(dropout.register_forward_hook(lambda _, args, out, b=b: results.__setitem__(b, out)))
    run()
    for hook in hooks:
        hook.remove()
    return [(inputs[b], results[b]) for b in range(len(inputs))]


def golden(network: Network, kind: torch.dtype) -> numpy.ndarray:
    torch.manual_seed(SEED + 1)
    if isinstance(network, TransformerEncoderForDiffusion):
        inputs = (torch.randn(1, SIZES.horizon, SIZES.action_dim + SIZES.obs_dim),)
    else:
        inputs = (torch.randn(1, SIZES.horizon, SIZES.action_dim), torch.rand(1, SIZES.n_obs_steps, SIZES.obs_dim) * 2 - 1)
    network = network.to(kind)
    parts = list(inputs)
    with torch.no_grad():
        for t in TIMESTEPS:
            outputs = []

            def run():
                sample, *cond = (values.to(kind) for values in inputs)
                outputs.append(network(sample, torch.tensor([t], dtype=kind), *cond))

            for h, result in branches(network, run):
                parts += [h, result]
            parts.append(outputs[0])
    return torch.cat([part.flatten().float() for part in parts]).numpy().astype("<f4")


def tensors(network: Network) -> dict[str, numpy.ndarray]:
    state = {f"model.{name}": values.float().numpy() for name, values in network.state_dict().items()}
    rng = numpy.random.default_rng(SEED)
    for kind, n in (("obs", SIZES.obs_dim), ("action", SIZES.action_dim)):
        low = rng.uniform(-3, 0, n).astype("f4")
        high = low + rng.uniform(1, 4, n).astype("f4")
        scale = 2 / (high - low)
        named = {"scale": scale, "offset": -1 - scale * low, "input_stats.min": low, "input_stats.max": high}
        state |= {f"normalizer.params_dict.{kind}.{name}": values for name, values in named.items()}
    return state


def metadata() -> dict[str, str]:
    named = {"n_layer": SIZES.n_layer, "n_head": SIZES.n_head, "n_emb": SIZES.n_emb, "horizon": SIZES.horizon,
             "n_obs_steps": SIZES.n_obs_steps, "n_action_steps": SIZES.n_action_steps}
    return {key: str(value) for key, value in named.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    largest = 0.0
    for name, kind in NETWORKS.items():
        network = random_network(kind)
        state = tensors(network)
        single = golden(network, torch.float32)
        double = golden(network, torch.float64)
        largest = max(largest, numpy.abs(single - double).max())
        print(f"{name}: F32 against F64 of PyTorch: {largest:.2e}")
        if args.check:
            kept = numpy.fromfile(ROOT / f"{name}.bin", "<f4")
            difference = numpy.abs(kept - double).max() if kept.shape == double.shape else float("inf")
            print(f"{name}: kept against computed: {difference:.2e}")
            largest = max(largest, difference)
            continue
        ROOT.mkdir(parents=True, exist_ok=True)
        safetensors_file.write(ROOT / f"{name}.safetensors", state, metadata())
        double.tofile(ROOT / f"{name}.bin")
    return 0 if largest < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
