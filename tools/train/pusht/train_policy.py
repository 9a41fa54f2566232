#!/usr/bin/env python3
"""Trains a diffusion policy for Push-T on demonstrations; see README.md. Needs PyTorch (2.x), numpy and safetensors.

    train_policy.py --data demonstrations.safetensors --out policy.safetensors [--n-embd 256] [--n-layer 8] [--seconds 1200]
"""

import argparse
import pathlib
import sys
import time

import torch
from safetensors.torch import save_file
from torch import nn

from demonstrations import Affine, Demonstrations
from policy_model import Average, PolicyTransformer, kept_signal
from policy_torch import Sizes
from whole_file import whole_file

N_TRAIN_STEPS = 100  # of the noise schedule
WARMUP_STEPS = 300
DECAY_SHARE = 0.4    # of the training, at its end, over which the rate falls
LEAST_RATE = 0.02    # of the peak
WEIGHT_DECAY = 0.1
LARGEST_GRADIENT = 1.0
STEPS_PER_REPORT = 200


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="safetensors file of pusht_demonstrations")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="safetensors file to write")
    parser.add_argument("--n-embd", type=int, default=256)
    parser.add_argument("--n-layer", type=int, default=8)
    parser.add_argument("--n-head", type=int, default=4)
    parser.add_argument("--batch", type=int, default=512, help="windows a step")
    parser.add_argument("--rate", type=float, default=4e-4, help="peak learning rate")
    parser.add_argument("--dropout", type=float, help="default 0.01 on a GPU, 0 on a CPU, where it costs more than the rest")
    parser.add_argument("--steps", type=int, default=1_000_000, help="at most")
    parser.add_argument("--seconds", type=float, default=1200, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.n_embd % (2 * args.n_head) != 0 or args.n_embd < 4:
        parser.error(f"--n-embd {args.n_embd}: must be even and a multiple of --n-head {args.n_head}")
    for name in ("n_layer", "n_head", "batch", "steps"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} {getattr(args, name)}: expected at least 1")
    return args


def rate_share(i_step: int, done: float) -> float:
    """Share of the peak rate: a linear start, a plateau, a linear end. `done` is the share of the training that is over."""
    ending = 1.0 if done < 1 - DECAY_SHARE else max(LEAST_RATE, (1 - done) / DECAY_SHARE)
    return min(1.0, (i_step + 1) / WARMUP_STEPS) * ending


class Training:
    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.sizes = Sizes(args.n_layer, args.n_head, args.n_embd, horizon=16, n_obs_steps=2, n_action_steps=8, obs_dim=18,
                           action_dim=2)
        torch.manual_seed(args.seed)
        demonstrations = Demonstrations.load(args.data)
        self.affine = {"obs": Affine.fitted(demonstrations.obs), "action": Affine.fitted(demonstrations.action)}
        sizes = self.sizes
        windows = demonstrations.windows(sizes.horizon, sizes.n_obs_steps, sizes.n_action_steps)
        self.windows = torch.from_numpy(windows).to(args.device)
        self.obs = torch.from_numpy(self.affine["obs"](demonstrations.obs)).to(args.device)
        self.action = torch.from_numpy(self.affine["action"](demonstrations.action)).to(args.device)
        self.signal = kept_signal(N_TRAIN_STEPS).to(args.device)

        is_cpu = args.device == "cpu"
        dropout = args.dropout if args.dropout is not None else (0.0 if is_cpu else 0.01)
        self.model = PolicyTransformer(sizes, dropout).to(args.device)
        self.average = Average(self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameter_groups(WEIGHT_DECAY), lr=args.rate, betas=(0.9, 0.95))
        self.forward = self.model if is_cpu else torch.compile(self.model)
        self.n_steps = 0

    def loss(self) -> torch.Tensor:
        """Mean squared error of the noise predicted in one batch of noised windows."""
        device = self.args.device
        rows = self.windows[torch.randint(len(self.windows), (self.args.batch,), device=device)]
        clean, obs = self.action[rows], self.obs[rows[:, :self.sizes.n_obs_steps]]
        timestep = torch.randint(N_TRAIN_STEPS, (self.args.batch,), device=device)
        noise = torch.randn_like(clean)
        signal = self.signal[timestep][:, None, None]
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=device != "cpu"):
            predicted = self.forward(noisy, timestep, obs)
        return nn.functional.mse_loss(predicted.float(), noise)

    def run(self) -> None:
        begun, total, n_summed = time.monotonic(), torch.zeros((), device=self.args.device), 0
        print(f"{len(self.windows)} windows, {sum(p.numel() for p in self.model.parameters())} parameters", flush=True)
        while self.n_steps < self.args.steps:
            spent = time.monotonic() - begun
            done = max(spent / self.args.seconds, self.n_steps / self.args.steps)
            if done >= 1:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = self.args.rate * rate_share(self.n_steps, done)
            loss = self.loss()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.average.step(self.model)
            self.n_steps += 1
            total += loss.detach()
            n_summed += 1
            if n_summed == STEPS_PER_REPORT:
                print(f"{spent:.0f} s, step {self.n_steps}, loss {float(total) / n_summed:.5f}", flush=True)
                total.zero_()
                n_summed = 0
        if n_summed:
            print(f"step {self.n_steps}, loss {float(total) / n_summed:.5f} over the last {n_summed}")

    def save(self) -> None:
        """The averaged weights in F16 and the normaliser in F32, under the reference's names; complete or absent."""
        tensors = {f"model.{name}": value.half().contiguous().cpu() for name, value in self.average.values.items()}
        for kind, affine in self.affine.items():
            for name, value in (("scale", affine.scale), ("offset", affine.offset), ("input_stats.min", affine.low),
                                ("input_stats.max", affine.high)):
                tensors[f"normalizer.params_dict.{kind}.{name}"] = torch.from_numpy(value)
        sizes = self.sizes
        metadata = {"steps": self.n_steps, "horizon": sizes.horizon, "n_obs_steps": sizes.n_obs_steps,
                    "n_action_steps": sizes.n_action_steps, "n_layer": sizes.n_layer, "n_head": sizes.n_head,
                    "n_emb": sizes.n_emb, "obs": "8 outline corners (bar then stem order), agent xy"}
        with whole_file(self.args.out) as part:
            save_file(tensors, part, {key: str(value) for key, value in metadata.items()})


def main() -> int:
    args = arguments()
    try:
        training = Training(args)
    except (OSError, ValueError) as error:
        print(f"train_policy: {error}", file=sys.stderr)
        return 1
    training.run()
    training.save()
    print(f"{args.out}: {training.n_steps} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
