"""What training adds to the network: its start, which parameters decay, its noise schedule, its average for evaluation.

Source: Diffusion Policy (Chi et al., RSS 2023), diffusion_policy/model/diffusion/transformer_for_diffusion.py.
"""

import math
import pathlib
import sys

import torch
from torch import nn

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from policy_torch import Sizes, TransformerForDiffusion


class PolicyTransformer(TransformerForDiffusion):
    """Starts as the reference does: matrices and positions of deviation 0.02, biases of zero."""

    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__(sizes, dropout)
        for name, parameter in self.named_parameters():
            if "pos_emb" in name or ("weight" in name and parameter.dim() > 1):
                nn.init.normal_(parameter, std=0.02)
            elif "bias" in name:
                nn.init.zeros_(parameter)

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """Decay for matrices; none for biases, norms and positions."""
        decayed = {name for name, p in self.named_parameters() if p.dim() > 1 and "pos_emb" not in name}
        return [{"params": [p for name, p in self.named_parameters() if name in decayed], "weight_decay": weight_decay},
                {"params": [p for name, p in self.named_parameters() if name not in decayed], "weight_decay": 0.0}]


def kept_signal(n_train_steps: int) -> torch.Tensor:
    """Cumulative product of alphas of squaredcos_cap_v2, F32 [n_train_steps]."""
    def signal(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    products, product = [], 1.0
    for i in range(n_train_steps):
        product *= 1 - min(1 - signal((i + 1) / n_train_steps) / signal(i / n_train_steps), 0.999)
        products.append(product)
    return torch.tensor(products)


class Average:
    """Exponential moving average of a model's parameters, F32; young averages forget faster."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay = decay
        self.n_steps = 0
        self.values = {name: p.detach().clone().float() for name, p in model.named_parameters()}

    @torch.no_grad()
    def step(self, model: nn.Module) -> None:
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        for name, parameter in model.named_parameters():
            self.values[name].lerp_(parameter.float(), 1 - decay)
