"""TransformerForDiffusion, decoder form, with the reference's tensor names; its noise schedule; its average for evaluation.

Source: Diffusion Policy (Chi et al., RSS 2023), diffusion_policy/model/diffusion/transformer_for_diffusion.py.
"""

import dataclasses
import math

import torch
from torch import nn


@dataclasses.dataclass(frozen=True)
class Shape:
    n_embd: int = 256
    n_layer: int = 8
    n_head: int = 4
    n_horizon: int = 16      # actions predicted
    n_obs_steps: int = 2     # observations seen
    n_action_steps: int = 8  # actions executed
    n_obs: int = 18
    n_action: int = 2


class Mish(nn.Module):
    def forward(self, x):
        x = x.float()
        return x * torch.tanh(nn.functional.softplus(x))


class PolicyTransformer(nn.Module):
    """Predicts the noise in n_horizon actions from n_obs_steps observations."""

    def __init__(self, shape: Shape, dropout: float):
        super().__init__()
        d = shape.n_embd
        self.input_emb = nn.Linear(shape.n_action, d)
        self.pos_emb = nn.Parameter(torch.zeros(1, shape.n_horizon, d))
        self.cond_obs_emb = nn.Linear(shape.n_obs, d)
        self.cond_pos_emb = nn.Parameter(torch.zeros(1, shape.n_obs_steps + 1, d))
        self.encoder = nn.Sequential(nn.Linear(d, 4 * d), Mish(), nn.Linear(4 * d, d))
        layer = nn.TransformerDecoderLayer(d, shape.n_head, 4 * d, dropout, "gelu", batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, shape.n_layer)
        self.ln_f = nn.LayerNorm(d)
        self.head = nn.Linear(d, shape.n_action)
        for name, parameter in self.named_parameters():
            if "pos_emb" in name or ("weight" in name and parameter.dim() > 1):
                nn.init.normal_(parameter, std=0.02)
            elif "bias" in name:
                nn.init.zeros_(parameter)

        # Action t sees actions up to t, the time row, and observation j once t >= j.
        row = torch.arange(shape.n_horizon)[:, None]
        column = torch.arange(shape.n_obs_steps + 1)[None]
        seen = torch.where(row >= column - 1, 0.0, -math.inf)
        causal = torch.full((shape.n_horizon, shape.n_horizon), -math.inf).triu(1)
        half = d // 2
        frequencies = torch.exp(-torch.arange(half) * math.log(10000) / (half - 1))
        for name, value in (("mask", causal), ("memory_mask", seen), ("frequencies", frequencies)):
            self.register_buffer(name, value, persistent=False)

    def forward(self, noisy, timestep, obs):
        """noisy [B, n_horizon, n_action], timestep [B], obs [B, n_obs_steps, n_obs]; the noise, as `noisy`."""
        angles = timestep.float()[:, None] * self.frequencies
        time = torch.cat([angles.sin(), angles.cos()], -1)[:, None]
        memory = self.encoder(torch.cat([time, self.cond_obs_emb(obs)], 1) + self.cond_pos_emb)
        hidden = self.decoder(self.input_emb(noisy) + self.pos_emb, memory, self.mask, self.memory_mask)
        return self.head(self.ln_f(hidden))

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
