"""The network of Diffusion Policy's transformer form in PyTorch, written anew with the reference's names.

Source: Diffusion Policy (arXiv 2303.04137), `TransformerForDiffusion` with time_as_cond, obs_as_cond and n_cond_layers = 0;
and its form without conditions, an encoder alone.
"""

import dataclasses
import math

import torch


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Named as the command line of the reference; symbols of the paper behind."""

    n_layer: int
    n_head: int
    n_emb: int
    horizon: int  # Tp
    n_obs_steps: int  # To
    n_action_steps: int  # Ta
    obs_dim: int  # Do
    action_dim: int  # Da
    causal_attn: bool = True  # a step of the horizon sees none of the later ones, nor their observations


class TimeEmbedding(torch.nn.Module):
    def __init__(self, n_emb: int):
        super().__init__()
        half = n_emb // 2
        frequencies = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        """[batch] to [batch, n_emb]: the sines, then the cosines."""
        angle = timestep[:, None] * self.frequencies
        return torch.cat((angle.sin(), angle.cos()), dim=-1)


class TransformerForDiffusion(torch.nn.Module):
    def __init__(self, sizes: Sizes, dropout: float = 0.0):
        super().__init__()
        self.sizes = sizes
        n_emb = sizes.n_emb
        self.time_emb = TimeEmbedding(n_emb)
        self.input_emb = torch.nn.Linear(sizes.action_dim, n_emb)
        self.pos_emb = torch.nn.Parameter(torch.zeros(1, sizes.horizon, n_emb))
        self.cond_obs_emb = torch.nn.Linear(sizes.obs_dim, n_emb)
        self.cond_pos_emb = torch.nn.Parameter(torch.zeros(1, 1 + sizes.n_obs_steps, n_emb))
        self.encoder = torch.nn.Sequential(torch.nn.Linear(n_emb, 4 * n_emb), torch.nn.Mish(),
                                           torch.nn.Linear(4 * n_emb, n_emb))
        layer = torch.nn.TransformerDecoderLayer(n_emb, sizes.n_head, 4 * n_emb, dropout, activation="gelu",
                                                 batch_first=True, norm_first=True)
        self.decoder = torch.nn.TransformerDecoder(layer, sizes.n_layer)
        self.ln_f = torch.nn.LayerNorm(n_emb)
        self.head = torch.nn.Linear(n_emb, sizes.action_dim)
        if not sizes.causal_attn:
            self.mask = self.memory_mask = None
            return
        row = torch.arange(sizes.horizon)[:, None]
        memory = torch.arange(1 + sizes.n_obs_steps)[None, :]
        inf = float("-inf")
        self.register_buffer("mask", torch.where(row >= row.T, 0.0, inf), persistent=False)
        self.register_buffer("memory_mask", torch.where(row >= memory - 1, 0.0, inf), persistent=False)

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        """sample: [batch, horizon, action_dim]; timestep: [batch]; cond: [batch, n_obs_steps, obs_dim]."""
        tokens = torch.cat((self.time_emb(timestep)[:, None], self.cond_obs_emb(cond)), dim=1) + self.cond_pos_emb
        memory = self.encoder(tokens)
        h = self.input_emb(sample) + self.pos_emb
        h = self.decoder(tgt=h, memory=memory, tgt_mask=self.mask, memory_mask=self.memory_mask)
        return self.head(self.ln_f(h))


class TransformerEncoderForDiffusion(torch.nn.Module):
    """The time is a token before the others, and a row's observation stands beside its action."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        torch.backends.mha.set_fastpath_enabled(False)  # it would pass by the hooks on the layers' parts
        self.sizes = sizes
        n_emb, n_channels = sizes.n_emb, sizes.action_dim + sizes.obs_dim
        self.time_emb = TimeEmbedding(n_emb)
        self.input_emb = torch.nn.Linear(n_channels, n_emb)
        self.pos_emb = torch.nn.Parameter(torch.zeros(1, sizes.horizon + 1, n_emb))
        layer = torch.nn.TransformerEncoderLayer(n_emb, sizes.n_head, 4 * n_emb, dropout=0.0, activation="gelu",
                                                 batch_first=True, norm_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, sizes.n_layer, enable_nested_tensor=False)
        self.ln_f = torch.nn.LayerNorm(n_emb)
        self.head = torch.nn.Linear(n_emb, n_channels)
        row = torch.arange(sizes.horizon + 1)[:, None]
        self.register_buffer("mask", torch.where(row >= row.T, 0.0, float("-inf")), persistent=False)

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """sample: [batch, horizon, action_dim + obs_dim]; timestep: [batch]."""
        h = torch.cat((self.time_emb(timestep)[:, None], self.input_emb(sample)), dim=1) + self.pos_emb
        return self.head(self.ln_f(self.encoder(h, mask=self.mask)[:, 1:]))
