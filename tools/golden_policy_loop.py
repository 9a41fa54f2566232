#!/usr/bin/env python3
"""Writes tests/golden/control/policy_loop.json: whole chunks of the tiny policies of golden_policy.py.

PyTorch computes the network and the diffusers library samples with given noise, while residual
branches are reused after a schedule as Block-wise Adaptive Caching does it: at each step every
branch either computes and keeps its output or adds what it kept. The form without a decoder samples
observations beside the actions, those that are known put in at every step.

    python3 -m venv .venv && .venv/bin/pip install torch diffusers safetensors
    .venv/bin/python tools/golden_policy_loop.py
"""

import json
import pathlib
import random

import diffusers
import safetensors.torch
import torch

from policy_torch import Sizes, TransformerEncoderForDiffusion, TransformerForDiffusion

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control"
SIZES = Sizes(n_layer=2, n_head=4, n_emb=32, horizon=6, n_obs_steps=3, n_action_steps=2, obs_dim=5, action_dim=3)
N_TRAIN = 100


class Caching:
    """Lets the branches of a policy reuse their outputs; steps[b] lists where branch b computes."""

    def __init__(self, policy: TransformerForDiffusion | TransformerEncoderForDiffusion, steps: list[list[int]]):
        self.k = -1
        is_encoder = isinstance(policy, TransformerEncoderForDiffusion)
        layers = (policy.encoder if is_encoder else policy.decoder).layers
        names = ("_sa_block", "_ff_block") if is_encoder else ("_sa_block", "_mha_block", "_ff_block")
        for b, computed in enumerate(steps):
            layer, name = layers[b // len(names)], names[b % len(names)]
            setattr(layer, name, self.branch(getattr(type(layer), name).__get__(layer), set(computed)))

    def branch(self, compute, computed: set[int]):
        kept = None

        def run(*inputs, **more):
            nonlocal kept
            if self.k in computed:
                kept = compute(*inputs, **more)
            return kept

        return run


def tiny_policy(name: str, kind: type[torch.nn.Module]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A network of tools/golden_policy.py and its normaliser."""
    tensors = safetensors.torch.load_file(FOLDER / f"{name}.safetensors")
    network = kind(SIZES)
    weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    network.load_state_dict(weights)
    return network.eval(), tensors


def library_sampler(text: str):
    common = dict(num_train_timesteps=N_TRAIN, beta_schedule="squaredcos_cap_v2", clip_sample=True)
    if text == "ddpm":
        made = diffusers.DDPMScheduler(**common, variance_type="fixed_small", timestep_spacing="leading")
        made.set_timesteps(N_TRAIN)
    elif text.startswith("respaced"):
        made = diffusers.DDPMScheduler(**common, variance_type="fixed_small", timestep_spacing="leading")
        made.set_timesteps(int(text.partition("steps=")[2]))
    else:
        made = diffusers.DDIMScheduler(**common, set_alpha_to_one=True, steps_offset=0, timestep_spacing="leading")
        made.set_timesteps(int(text.partition("steps=")[2]))
    return made


def sampled(policy: TransformerForDiffusion, text: str, steps: list[list[int]], obs, noise):
    """The normalised actions after the last step."""
    made = library_sampler(text)
    caching = Caching(policy, steps)
    x = noise[0]
    for k, t in enumerate(made.timesteps):
        caching.k = k
        y = policy(x[None], t[None].float(), obs[None])[0]
        diffusers.schedulers.scheduling_ddpm.randn_tensor = lambda *_, **__: noise[k + 1]
        x = made.step(y, t, x).prev_sample
    return x


def inpainted(policy: TransformerEncoderForDiffusion, text: str, steps: list[list[int]], obs, noise):
    """The same of rows [action, observation], as the reference's conditional_sample() with obs_as_cond = false."""
    made = library_sampler(text)
    caching = Caching(policy, steps)
    x = noise[0]
    for k, t in enumerate(made.timesteps):
        caching.k = k
        x = x.clone()
        x[:SIZES.n_obs_steps, SIZES.action_dim:] = obs
        y = policy(x[None], t[None].float())[0]
        diffusers.schedulers.scheduling_ddpm.randn_tensor = lambda *_, **__: noise[k + 1]
        x = made.step(y, t, x).prev_sample
    return x[:, :SIZES.action_dim]


def random_steps(draw: random.Random, n_steps: int, share: float, n_branches: int = 3 * SIZES.n_layer) -> list[list[int]]:
    return [[0] + [k for k in range(1, n_steps) if draw.random() < share] for _ in range(n_branches)]


def encoder_case(draw: random.Random) -> dict[str, object]:
    policy, tensors = tiny_policy("policy-tiny-encoder", TransformerEncoderForDiffusion)
    text, n_steps = "respaced:steps=10", 10
    raw, obs = random_observations(tensors)
    noise = torch.randn(n_steps + 1, SIZES.horizon, SIZES.action_dim + SIZES.obs_dim).round(decimals=4)
    # One step computes nothing.
    steps = [[k for k in branch if k != 5] for branch in random_steps(draw, n_steps, 0.4, 2 * SIZES.n_layer)]
    return dict(sampler=text, obs=raw, steps=steps, noise=[round(v, 4) for v in noise.flatten().tolist()],
                raw_actions=raw_values(inpainted(policy, text, steps, obs, noise), tensors))


def random_observations(tensors: dict[str, torch.Tensor]) -> tuple[list[float], torch.Tensor]:
    """Within the training set's range; normalised, too."""
    low, high = (tensors[f"normalizer.params_dict.obs.input_stats.{end}"] for end in ("min", "max"))
    raw = (low + (high - low) * torch.rand(SIZES.n_obs_steps, SIZES.obs_dim)).round(decimals=3)
    obs = raw * tensors["normalizer.params_dict.obs.scale"] + tensors["normalizer.params_dict.obs.offset"]
    return [round(v, 3) for v in raw.flatten().tolist()], obs


def raw_values(actions: torch.Tensor, tensors: dict[str, torch.Tensor]) -> list[float]:
    scale, offset = (tensors[f"normalizer.params_dict.action.{name}"] for name in ("scale", "offset"))
    return ((actions - offset) / scale).flatten().tolist()


@torch.inference_mode()
def main() -> None:
    torch.manual_seed(20250613)
    draw = random.Random(7)
    policy, tensors = tiny_policy("policy-tiny", TransformerForDiffusion)
    raw, obs = random_observations(tensors)
    noise = torch.randn(N_TRAIN + 1, SIZES.horizon, SIZES.action_dim).round(decimals=4)
    every = [list(range(N_TRAIN)) for _ in range(3 * SIZES.n_layer)]
    shared = random_steps(draw, N_TRAIN, 0.1)[:1] * (3 * SIZES.n_layer)
    cases = [
        ("ddpm", "full", every),
        ("ddpm", "one schedule", shared),
        ("ddpm", "a schedule for each", random_steps(draw, N_TRAIN, 0.15)),
        ("ddpm", "computed once", [[0] for _ in range(3 * SIZES.n_layer)]),
        ("ddim:steps=16", "full", [list(range(16)) for _ in range(3 * SIZES.n_layer)]),
        ("ddim:steps=16", "a schedule for each", random_steps(draw, 16, 0.3)),
    ]
    results = []
    for text, name, steps in cases:
        actions = sampled(policy, text, steps, obs, noise)
        results.append(dict(sampler=text, schedule=name, steps=steps, raw_actions=raw_values(actions, tensors)))
    golden = dict(
        made_by="tools/golden_policy_loop.py",
        torch=torch.__version__,
        diffusers=diffusers.__version__,
        obs=raw,
        noise=[round(v, 4) for v in noise.flatten().tolist()],
        cases=results,
        encoder=encoder_case(draw),
    )
    text = json.dumps(golden).replace('{"sampler"', '\n{"sampler"')
    (FOLDER / "policy_loop.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
