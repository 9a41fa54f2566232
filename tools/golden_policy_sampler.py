#!/usr/bin/env python3
"""Writes tests/golden/control/sampler_steps.json: single denoising steps of the diffusers library.

The library's DDPM and DDIM schedulers are set as Diffusion Policy sets them (squared cosine, 100
training steps, clipped samples, fixed small variance, DDIM with set_alpha_to_one and offset 0);
timestep_spacing "leading" is the only spacing that the library had at the time of that code. A
respaced DDPM is the library's own DDPM with fewer steps, which newer versions compute with
beta' = 1 - acp_t / acp_prev. Every case holds the network's output y, x before, the noise z and x
after; values are exact decimal texts of F32.

    python3 -m venv .venv && .venv/bin/pip install torch diffusers
    .venv/bin/python tools/golden_policy_sampler.py
"""

import json
import pathlib

import diffusers
import torch

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control/sampler_steps.json"
COMMON = dict(
    num_train_timesteps=100,
    beta_schedule="squaredcos_cap_v2",
    beta_start=0.0001,
    beta_end=0.02,
    clip_sample=True,
)
N_VALUES = 12
# sampler text of ours, steps, spacing, prediction, step indices
CASES = [
    ("ddpm", 100, "leading", "epsilon", [0, 1, 9, 49, 89, 98, 99]),
    ("ddpm", 100, "leading", "sample", [0, 49, 99]),
    ("respaced:steps=20", 20, "leading", "epsilon", [0, 7, 18, 19]),
    ("respaced:steps=8", 8, "leading", "epsilon", [0, 4, 7]),
    ("respaced:steps=10,spacing=trailing", 10, "trailing", "epsilon", [0, 5, 9]),
    ("ddim:steps=100", 100, "leading", "epsilon", [0, 50, 99]),
    ("ddim:steps=16", 16, "leading", "epsilon", [0, 1, 8, 15]),
    ("ddim:steps=8", 8, "leading", "epsilon", [0, 4, 7]),
    ("ddim:steps=8", 8, "leading", "sample", [0, 4, 7]),
    ("ddim:steps=10,spacing=trailing", 10, "trailing", "epsilon", [0, 5, 9]),
]


def scheduler(text: str, n_steps: int, spacing: str, prediction: str):
    if text.startswith("ddim"):
        made = diffusers.DDIMScheduler(
            **COMMON, set_alpha_to_one=True, steps_offset=0, prediction_type=prediction, timestep_spacing=spacing
        )
    else:
        made = diffusers.DDPMScheduler(
            **COMMON, variance_type="fixed_small", prediction_type=prediction, timestep_spacing=spacing
        )
    made.set_timesteps(n_steps)
    return made


def floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values.flatten()]


def step(made, t, y, x, z):
    """One step with the noise z in place of the library's own draw."""
    if isinstance(made, diffusers.DDIMScheduler):
        return made.step(y, t, x, eta=0.0).prev_sample
    original = diffusers.schedulers.scheduling_ddpm.randn_tensor
    diffusers.schedulers.scheduling_ddpm.randn_tensor = lambda *_, **__: z
    try:
        return made.step(y, t, x).prev_sample
    finally:
        diffusers.schedulers.scheduling_ddpm.randn_tensor = original


def main() -> None:
    generator = torch.Generator().manual_seed(20250613)
    draw = lambda: torch.randn(1, N_VALUES, generator=generator)
    cases = []
    for text, n_steps, spacing, prediction, indices in CASES:
        made = scheduler(text, n_steps, spacing, prediction)
        steps = []
        for i in indices:
            t = made.timesteps[i]
            # Close to what a sampler meets: x of the forward process, y near the noise in it. The
            # first half is off by so much that x0 is clipped.
            x0, noise, z = draw().clamp(-1, 1), draw(), draw()
            acp = made.alphas_cumprod[t]
            x = acp.sqrt() * x0 + (1 - acp).sqrt() * noise
            y = noise + 0.01 * acp.sqrt() * draw() if prediction == "epsilon" else x0 + 0.01 * draw()
            y[:, : N_VALUES // 2] = draw()[:, : N_VALUES // 2]
            after = step(made, t, y, x, z)
            steps.append(dict(i=i, t=int(t), x=floats(x), y=floats(y), z=floats(z), after=floats(after)))
        cases.append(
            dict(sampler=text, prediction=prediction, timesteps=[int(t) for t in made.timesteps], steps=steps)
        )
    made = scheduler("ddpm", 100, "leading", "epsilon")
    golden = dict(
        made_by="tools/golden_policy_sampler.py",
        diffusers=diffusers.__version__,
        torch=torch.__version__,
        alphas_cumprod=floats(made.alphas_cumprod),
        cases=cases,
    )
    text = json.dumps(golden)
    OUT.write_text(text.replace('{"sampler"', '\n{"sampler"').replace('{"i"', '\n{"i"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
