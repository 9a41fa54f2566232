"""The recall model: a small decoder of the Llama architecture in PyTorch.

Parameters carry the names of llama.cpp's GGUF tensors. RoPE turns neighbouring pairs (0,1), (2,3) .. of a head, as
llama.cpp does for this architecture, so the exported query and key rows need no permutation.
"""

import dataclasses
import math

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass(frozen=True)
class Shape:
    n_vocab: int
    n_layer: int = 4
    n_embd: int = 128
    n_head: int = 4
    n_head_kv: int = 2
    n_ff: int = 256
    n_ctx: int = 512
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def n_embd_head(self) -> int:
        return self.n_embd // self.n_head


class RmsNorm(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.n_embd))
        self.eps = shape.norm_eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def linear(n_in: int, n_out: int, std: float) -> nn.Linear:
    layer = nn.Linear(n_in, n_out, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


def rope_speeds(shape: Shape) -> torch.Tensor:
    """Radians per position of each pair of a head."""
    half = shape.n_embd_head // 2
    return shape.rope_base ** (-torch.arange(half) / half)


def rope(x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turns x [n_batch, n_head, n_tokens, n_embd_head] by its positions."""
    cos, sin = turn
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        n_embd, n_kv = shape.n_embd, shape.n_head_kv * shape.n_embd_head
        std = 1 / math.sqrt(n_embd)
        residual_std = std / math.sqrt(2 * shape.n_layer)
        self.attn_norm, self.ffn_norm = RmsNorm(shape), RmsNorm(shape)
        self.attn_q, self.attn_output = linear(n_embd, n_embd, std), linear(n_embd, n_embd, residual_std)
        self.attn_k, self.attn_v = linear(n_embd, n_kv, std), linear(n_embd, n_kv, std)
        self.ffn_gate, self.ffn_up = linear(n_embd, shape.n_ff, std), linear(n_embd, shape.n_ff, std)
        self.ffn_down = linear(shape.n_ff, n_embd, residual_std)

    def heads(self, x: torch.Tensor, n_head: int) -> torch.Tensor:
        return x.view(*x.shape[:2], n_head, self.shape.n_embd_head).transpose(1, 2)

    def attention(self, x: torch.Tensor, turn, mask: torch.Tensor) -> torch.Tensor:
        shape, (n_batch, n_tokens, _) = self.shape, x.shape
        q = rope(self.heads(self.attn_q(x), shape.n_head), turn)
        k = rope(self.heads(self.attn_k(x), shape.n_head_kv), turn)
        v = self.heads(self.attn_v(x), shape.n_head_kv)
        # The query heads of one KV head follow each other, so they fold into its rows.
        q = q.reshape(n_batch, shape.n_head_kv, -1, shape.n_embd_head) / math.sqrt(shape.n_embd_head)
        scores = (q @ k.transpose(2, 3)).view(n_batch, shape.n_head, n_tokens, n_tokens) + mask
        weights = scores.softmax(-1).to(scores.dtype).view(n_batch, shape.n_head_kv, -1, n_tokens)
        out = (weights @ v).view(n_batch, shape.n_head, n_tokens, shape.n_embd_head)
        return self.attn_output(out.transpose(1, 2).flatten(2))

    def forward(self, x: torch.Tensor, turn, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attn_norm(x), turn, mask)
        normed = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))


class RecallModel(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        nn.init.normal_(self.token_embd.weight, std=1 / math.sqrt(shape.n_embd))
        self.blk = nn.ModuleList(Layer(shape) for _ in range(shape.n_layer))
        self.output_norm = RmsNorm(shape)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits [n_batch, n_tokens, n_vocab] of the tokens ids [n_batch, n_tokens]."""
        n_tokens = ids.shape[1]
        angle = torch.outer(torch.arange(n_tokens), rope_speeds(self.shape))
        turn = angle.cos(), angle.sin()
        mask = torch.full((n_tokens, n_tokens), -math.inf).triu(1)
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, turn, mask)
        return functional.linear(self.output_norm(x), self.token_embd.weight)
