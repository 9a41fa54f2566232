#!/usr/bin/env python3
"""How fast PyTorch computes DDPM-100 of a transformer policy on the CPU: eager, inference mode, F32.

    python3 -m venv .venv && .venv/bin/pip install torch numpy
    .venv/bin/python tools/policy_torch_speed.py policy.safetensors [--n-head 4] [--batch 1] [--threads 1 2] [--calls 9]

Prints a line of JSON for each number of threads: the median, best and worst seconds of a call of 100 network evaluations with
the sampler's arithmetic between them, as the reference's predict_action has it.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy
import torch

import policy_checkpoint
import safetensors_file
from policy_torch import Sizes, TransformerForDiffusion

N_STEPS = 100


def load(path: pathlib.Path, n_head: int | None) -> TransformerForDiffusion:
    metadata = safetensors_file.read_metadata(path)
    tensors = {policy_checkpoint.own_name(name): tensor.values() for name, tensor in
               safetensors_file.read_files([path]).items()}
    shapes = {name: values.shape for name, values in tensors.items()}
    sizes = policy_checkpoint.sizes_of(path, shapes, n_head or int(metadata.get("n_head", 4)),
                                       int(metadata.get("n_action_steps", 1)), True)
    network = TransformerForDiffusion(Sizes(sizes.n_layer, sizes.n_head, sizes.n_emb, sizes.horizon, sizes.n_obs_steps,
                                            sizes.n_action_steps, sizes.obs_dim, sizes.action_dim))
    state = {name: torch.from_numpy(values) for name, values in tensors.items() if not name.startswith("norm.")}
    state |= {name: values for name, values in network.state_dict().items() if name.endswith("mask")}
    network.load_state_dict(state)
    return network.eval()


def schedule() -> tuple[torch.Tensor, torch.Tensor]:
    """beta and the running product of alpha, squaredcos_cap_v2."""
    def alpha_bar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    beta = [min(1 - alpha_bar((i + 1) / N_STEPS) / alpha_bar(i / N_STEPS), 0.999) for i in range(N_STEPS)]
    beta = torch.tensor(beta, dtype=torch.float32)
    return beta, torch.cumprod(1 - beta, 0)


@torch.inference_mode()
def ddpm(network: TransformerForDiffusion, obs: torch.Tensor, beta: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """A chunk of actions, normalised; obs: [batch, n_obs_steps, obs_dim]."""
    sizes = network.sizes
    x = torch.randn(len(obs), sizes.horizon, sizes.action_dim)
    for t in range(N_STEPS - 1, -1, -1):
        noise = network(x, torch.full((len(obs),), t), obs)
        before = product[t - 1] if t > 0 else torch.tensor(1.0)
        x0 = ((x - (1 - product[t]).sqrt() * noise) / product[t].sqrt()).clamp(-1, 1)
        x = (before.sqrt() * beta[t] * x0 + (1 - beta[t]).sqrt() * (1 - before) * x) / (1 - product[t])
        if t > 0:
            variance = ((1 - before) / (1 - product[t]) * beta[t]).clamp(min=1e-20)
            x = x + variance.sqrt() * torch.randn_like(x)
    return x


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path, help="*.safetensors with the reference's names")
    parser.add_argument("--n-head", type=int, help="where the metadata do not say it")
    parser.add_argument("--batch", type=int, default=1, help="robots at once (default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--calls", type=int, default=9, help="timed calls (default: %(default)s)")
    args = parser.parse_args()
    try:
        network = load(args.checkpoint, args.n_head)
    except (policy_checkpoint.PolicyError, safetensors_file.SafetensorsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    obs = torch.rand(args.batch, network.sizes.n_obs_steps, network.sizes.obs_dim) * 2 - 1
    beta, product = schedule()
    for n_threads in args.threads:
        torch.set_num_threads(n_threads)
        ddpm(network, obs, beta, product)
        seconds = []
        for _ in range(args.calls):
            start = time.perf_counter()
            ddpm(network, obs, beta, product)
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"torch": torch.__version__, "threads": n_threads, "batch": args.batch, "calls": args.calls,
                          "median_s": float(numpy.median(seconds)), "best_s": min(seconds), "worst_s": max(seconds)}),
              flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
