#!/usr/bin/env python3
"""Writes tests/golden/control/policy_loop.{safetensors,json}: whole chunks of a tiny policy.

A random TransformerForDiffusion (d 32, 4 heads, 2 layers, 6 actions of 3 values, 3 observations of
5) in PyTorch is sampled with given noise, by the diffusers library, while residual branches are
reused after a schedule as Block-wise Adaptive Caching does it: at each step every branch either
computes and keeps its output or adds what it kept.

    python3 -m venv .venv && .venv/bin/pip install torch diffusers safetensors
    .venv/bin/python tools/golden_policy_loop.py
"""

import json
import math
import pathlib
import random

import diffusers
import safetensors.torch
import torch
from torch import nn

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control"
N_EMBD, N_HEAD, N_LAYER, N_HORIZON, N_OBS_STEPS, N_ACTION, N_OBS, N_TRAIN = 32, 4, 2, 6, 3, 3, 5, 100


class Policy(nn.Module):
    """Decoder form, with the reference checkpoint's names; section 5 of arXiv 2303.04137."""

    def __init__(self):
        super().__init__()
        d = N_EMBD
        self.input_emb = nn.Linear(N_ACTION, d)
        self.pos_emb = nn.Parameter(torch.zeros(1, N_HORIZON, d))
        self.cond_obs_emb = nn.Linear(N_OBS, d)
        self.cond_pos_emb = nn.Parameter(torch.zeros(1, 1 + N_OBS_STEPS, d))
        self.encoder = nn.Sequential(nn.Linear(d, 4 * d), nn.Mish(), nn.Linear(4 * d, d))
        layer = nn.TransformerDecoderLayer(d, N_HEAD, 4 * d, 0.0, "gelu", batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, N_LAYER)
        self.ln_f = nn.LayerNorm(d)
        self.head = nn.Linear(d, N_ACTION)

    def forward(self, x, t, obs):
        half = N_EMBD // 2
        angles = t * torch.exp(-torch.arange(half) * math.log(10000) / (half - 1))
        time = torch.cat([angles.sin(), angles.cos()])[None, None]
        memory = self.encoder(torch.cat([time, self.cond_obs_emb(obs)], 1) + self.cond_pos_emb)
        rows = torch.arange(N_HORIZON)[:, None]
        hide = lambda is_seen: torch.zeros(is_seen.shape).masked_fill(~is_seen, float("-inf"))
        causal = hide(rows >= torch.arange(N_HORIZON))
        seen = hide(rows >= torch.arange(1 + N_OBS_STEPS) - 1)
        h = self.decoder(self.input_emb(x) + self.pos_emb, memory, causal, seen)
        return self.head(self.ln_f(h))


class Caching:
    """Lets the branches of a policy reuse their outputs; steps[b] lists where branch b computes."""

    def __init__(self, policy: Policy, steps: list[list[int]]):
        self.k = -1
        names = ("_sa_block", "_mha_block", "_ff_block")
        for b, computed in enumerate(steps):
            layer, name = policy.decoder.layers[b // 3], names[b % 3]
            setattr(layer, name, self.branch(getattr(type(layer), name).__get__(layer), set(computed)))

    def branch(self, compute, computed: set[int]):
        kept = None

        def run(*inputs, **more):
            nonlocal kept
            if self.k in computed:
                kept = compute(*inputs, **more)
            return kept

        return run


def random_policy() -> Policy:
    policy = Policy()
    for name, parameter in policy.named_parameters():
        # Large enough for branches to matter and for logits to differ.
        if "norm" in name or "ln_f" in name:
            nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.2)
        else:
            nn.init.normal_(parameter, std=0.2)
    return policy.eval()


def library_sampler(text: str):
    common = dict(num_train_timesteps=N_TRAIN, beta_schedule="squaredcos_cap_v2", clip_sample=True)
    if text == "ddpm":
        made = diffusers.DDPMScheduler(**common, variance_type="fixed_small", timestep_spacing="leading")
        made.set_timesteps(N_TRAIN)
    else:
        made = diffusers.DDIMScheduler(**common, set_alpha_to_one=True, steps_offset=0, timestep_spacing="leading")
        made.set_timesteps(int(text.partition("steps=")[2]))
    return made


def sampled(policy: Policy, text: str, steps: list[list[int]], obs, noise):
    """The normalised actions after the last step."""
    made = library_sampler(text)
    caching = Caching(policy, steps)
    x = noise[0]
    for k, t in enumerate(made.timesteps):
        caching.k = k
        y = policy(x[None], t, obs[None])[0]
        diffusers.schedulers.scheduling_ddpm.randn_tensor = lambda *_, **__: noise[k + 1]
        x = made.step(y, t, x).prev_sample
    return x


def random_steps(draw: random.Random, n_steps: int, share: float) -> list[list[int]]:
    return [[0] + [k for k in range(1, n_steps) if draw.random() < share] for _ in range(3 * N_LAYER)]


@torch.inference_mode()
def main() -> None:
    torch.manual_seed(20250613)
    draw = random.Random(7)
    policy = random_policy()
    tensors = {f"model.{name}": value.contiguous() for name, value in policy.state_dict().items()}
    low = {"obs": torch.randn(N_OBS) * 50, "action": torch.randn(N_ACTION) * 50}
    high = {key: value + 20 + 100 * torch.rand(value.shape) for key, value in low.items()}
    for key in low:
        scale = 2 / (high[key] - low[key])
        prefix = f"normalizer.params_dict.{key}"
        tensors[f"{prefix}.scale"] = scale
        tensors[f"{prefix}.offset"] = -1 - scale * low[key]
        tensors[f"{prefix}.input_stats.min"] = low[key]
        tensors[f"{prefix}.input_stats.max"] = high[key]
    metadata = dict(
        horizon=N_HORIZON, n_obs_steps=N_OBS_STEPS, n_action_steps=3, n_layer=N_LAYER, n_head=N_HEAD, n_emb=N_EMBD
    )
    safetensors.torch.save_file(
        tensors, FOLDER / "policy_loop.safetensors", metadata={key: str(value) for key, value in metadata.items()}
    )

    raw = (low["obs"] + (high["obs"] - low["obs"]) * torch.rand(N_OBS_STEPS, N_OBS)).round(decimals=3)
    obs = raw * tensors["normalizer.params_dict.obs.scale"] + tensors["normalizer.params_dict.obs.offset"]
    noise = torch.randn(N_TRAIN + 1, N_HORIZON, N_ACTION).round(decimals=4)
    every = [list(range(N_TRAIN)) for _ in range(3 * N_LAYER)]
    shared = random_steps(draw, N_TRAIN, 0.1)[:1] * (3 * N_LAYER)
    cases = [
        ("ddpm", "full", every),
        ("ddpm", "one schedule", shared),
        ("ddpm", "a schedule for each", random_steps(draw, N_TRAIN, 0.15)),
        ("ddpm", "computed once", [[0] for _ in range(3 * N_LAYER)]),
        ("ddim:steps=16", "full", [list(range(16)) for _ in range(3 * N_LAYER)]),
        ("ddim:steps=16", "a schedule for each", random_steps(draw, 16, 0.3)),
    ]
    scale, offset = (tensors[f"normalizer.params_dict.action.{name}"] for name in ("scale", "offset"))
    results = []
    for text, name, steps in cases:
        actions = sampled(policy, text, steps, obs, noise)
        raw_actions = ((actions - offset) / scale).flatten().tolist()
        results.append(dict(sampler=text, schedule=name, steps=steps, actions=actions.flatten().tolist(), raw_actions=raw_actions))
    golden = dict(
        made_by="tools/golden_policy_loop.py",
        torch=torch.__version__,
        diffusers=diffusers.__version__,
        obs=[round(v, 3) for v in raw.flatten().tolist()],
        noise=[round(v, 4) for v in noise.flatten().tolist()],
        cases=results,
    )
    text = json.dumps(golden).replace('{"sampler"', '\n{"sampler"')
    (FOLDER / "policy_loop.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
