#!/usr/bin/env python3
"""A transformer diffusion policy in PyTorch, one command a line: what `reprise bench control --torch PYTHON` compares with.

    PYTHON tools/policy_peer.py NETWORK.safetensors

Needs torch, numpy and diffusers. Says "ready torch 2.8.0, diffusers 0.35.1" once the network is loaded, then answers:

    forward TIMESTEP SAMPLE... OBS...   the network's output, all numbers row by row
    chunk LOOP N_THREADS N_ROBOTS       the seconds that one chunk of all DDPM steps took
    memory                              this process's peak resident memory in bytes

LOOP is `diffusers`, its DDPMScheduler as the reference calls it, or `plain`, the same arithmetic with nothing around it.
An answer that begins with "error: " says what is wrong. Between commands the process sleeps.
"""

import pathlib
import resource
import sys
import time

import diffusers
import numpy
import torch

import safetensors_file
from policy_torch import Sizes, TransformerForDiffusion


def load(path: pathlib.Path) -> tuple[TransformerForDiffusion, dict[str, str]]:
    metadata = safetensors_file.read_metadata(path)
    sizes = Sizes(**{name: int(metadata[name]) for name in Sizes.__dataclass_fields__})
    network = TransformerForDiffusion(sizes)
    tensors = safetensors_file.read_files([path])
    network.load_state_dict({name: torch.from_numpy(numpy.array(tensor.values())) for name, tensor in tensors.items()})
    return network.eval(), metadata


class Peer:
    def __init__(self, path: pathlib.Path):
        self.network, metadata = load(path)
        self.scheduler = diffusers.DDPMScheduler(
            num_train_timesteps=int(metadata["num_train_timesteps"]), beta_schedule=metadata["beta_schedule"],
            prediction_type=metadata["prediction_type"], clip_sample=True, variance_type="fixed_small")
        self.scheduler.set_timesteps(self.scheduler.config.num_train_timesteps)
        self.coefficients = [self.coefficients_of(int(t)) for t in self.scheduler.timesteps]

    def coefficients_of(self, t: int) -> tuple[int, float, float, float, float, float]:
        """Timestep; sqrt(1 - acp), 1 / sqrt(acp); of x0, x and noise in the mean of the step before."""
        acp = self.scheduler.alphas_cumprod
        now, before = float(acp[t]), float(acp[t - 1]) if t > 0 else 1.0
        beta = 1 - now / before
        variance = max((1 - before) / (1 - now) * beta, 1e-20) if t > 0 else 0.0
        return (t, (1 - now) ** 0.5, now ** -0.5, before ** 0.5 * beta / (1 - now),
                (1 - beta) ** 0.5 * (1 - before) / (1 - now), variance ** 0.5)

    def forward(self, numbers: list[str]) -> torch.Tensor:
        sizes = self.network.sizes
        values = torch.tensor([float(text) for text in numbers[1:]], dtype=torch.float32)
        n_sample = sizes.horizon * sizes.action_dim
        sample = values[:n_sample].reshape(1, sizes.horizon, sizes.action_dim)
        obs = values[n_sample:].reshape(1, sizes.n_obs_steps, sizes.obs_dim)
        return self.network(sample, torch.tensor([int(numbers[0])]), obs)

    def diffusers_chunk(self, x: torch.Tensor, obs: torch.Tensor) -> torch.Tensor:
        for t in self.scheduler.timesteps:
            x = self.scheduler.step(self.network(x, t.expand(len(x)), obs), t, x).prev_sample
        return x

    def plain_chunk(self, x: torch.Tensor, obs: torch.Tensor) -> torch.Tensor:
        predicts_noise = self.scheduler.config.prediction_type == "epsilon"
        noise = torch.randn(len(self.coefficients), *x.shape)
        timesteps = torch.tensor([[c[0]] * len(x) for c in self.coefficients])
        for i, (_, sigma, inverse_signal, of_clean, of_x, of_noise) in enumerate(self.coefficients):
            y = self.network(x, timesteps[i], obs)
            clean = ((x - sigma * y) * inverse_signal if predicts_noise else y).clamp(-1, 1)
            x = of_clean * clean + of_x * x + of_noise * noise[i]
        return x

    def chunk(self, loop: str, n_threads: int, n_robots: int) -> float:
        """Seconds from the observations to the actions of all robots, drawing the noise included."""
        make = {"diffusers": self.diffusers_chunk, "plain": self.plain_chunk}[loop]
        torch.set_num_threads(n_threads)
        sizes = self.network.sizes
        obs = torch.randn(n_robots, sizes.n_obs_steps, sizes.obs_dim)
        before = time.perf_counter()
        make(torch.randn(n_robots, sizes.horizon, sizes.action_dim), obs)
        return time.perf_counter() - before

    def answer(self, command: str, arguments: list[str]) -> str:
        if command == "forward":
            return " ".join(map(repr, self.forward(arguments).flatten().tolist()))
        if command == "chunk":
            return repr(self.chunk(arguments[0], int(arguments[1]), int(arguments[2])))
        if command == "memory":
            return str(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        raise ValueError(f"no command '{command}'")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        peer = Peer(pathlib.Path(sys.argv[1]))
    except (OSError, KeyError, RuntimeError, ValueError, safetensors_file.SafetensorsError) as error:
        print(f"error: {error!r}", flush=True)
        return 1
    print(f"ready torch {torch.__version__}, diffusers {diffusers.__version__}", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            command, *arguments = line.split()
            try:
                print(peer.answer(command, arguments), flush=True)
            except (KeyError, RuntimeError, ValueError) as error:
                print(f"error: {' '.join(repr(error).split())}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
