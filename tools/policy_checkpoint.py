"""What a transformer policy of Diffusion Policy declares: its sizes, its noise schedule, and the tensors that must be there.

Source: Diffusion Policy (arXiv 2303.04137), the state dict of its `DiffusionTransformerLowdimPolicy`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TypeVar

import numpy


class PolicyError(Exception):
    """The checkpoint cannot be converted; the text says what is wrong where, and what to do."""


TRAIN_WHOLE = ("it predicts the executed actions alone, without those of the observations before, which is not built in; "
               "train with pred_action_steps_only = false")


def check_slice(path: pathlib.Path, predicts_executed_only: bool) -> None:
    if predicts_executed_only:
        raise PolicyError(f"{path}: was trained with pred_action_steps_only: {TRAIN_WHOLE}")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of the network and its use, named as the reference has them."""

    n_layer: int
    n_head: int
    n_emb: int
    horizon: int
    n_obs_steps: int
    n_action_steps: int
    obs_dim: int
    action_dim: int
    causal: bool = True
    encoder_only: bool = False  # no decoder: observations stand beside the actions, the time before them

    @property
    def n_channels(self) -> int:
        """Values of a row that is denoised."""
        return self.action_dim + (self.obs_dim if self.encoder_only else 0)

    @property
    def n_rows(self) -> int:
        return self.horizon + (1 if self.encoder_only else 0)

    def check(self, path: pathlib.Path) -> None:
        for name in ("n_layer", "n_head", "n_emb", "horizon", "n_obs_steps", "n_action_steps", "obs_dim", "action_dim"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
                raise PolicyError(f"{path}: {name} is {value!r}, expected an integer from 1")
        if self.n_emb % self.n_head != 0 or self.n_emb % 2 != 0 or self.n_emb < 4:
            raise PolicyError(f"{path}: n_emb {self.n_emb} must be even, from 4, and a multiple of n_head {self.n_head}")
        if self.n_obs_steps > 1 and self.n_action_steps == self.horizon:
            raise PolicyError(f"{path}: n_action_steps {self.n_action_steps} is the whole horizon, so that the policy was "
                              f"trained with pred_action_steps_only: {TRAIN_WHOLE}")
        if self.n_obs_steps - 1 + self.n_action_steps > self.horizon:
            raise PolicyError(f"{path}: n_obs_steps {self.n_obs_steps} - 1 + n_action_steps {self.n_action_steps} is beyond "
                              f"the horizon of {self.horizon}")


@dataclasses.dataclass(frozen=True)
class Noise:
    """The noise that training added, named as diffusers has it."""

    num_train_timesteps: int = 100
    beta_schedule: str = "squaredcos_cap_v2"
    prediction_type: str = "epsilon"
    clip_sample: bool = True
    variance_type: str = "fixed_small"

    def check(self, path: pathlib.Path) -> None:
        if not isinstance(self.num_train_timesteps, int) or not 1 <= self.num_train_timesteps <= 10000:
            raise PolicyError(f"{path}: {self.num_train_timesteps!r} training timesteps, expected 1 to 10000")
        for name, wanted in (("beta_schedule", ("squaredcos_cap_v2",)), ("prediction_type", ("epsilon", "sample")),
                             ("variance_type", ("fixed_small",))):
            if getattr(self, name) not in wanted:
                raise PolicyError(f"{path}: {name} is {getattr(self, name)!r}; {' and '.join(wanted)} can be converted")


@dataclasses.dataclass(frozen=True)
class Policy:
    """A checkpoint in memory. tensors: F32, by the reference's names without 'model.', and norm.{obs,action}.*"""

    path: pathlib.Path
    sizes: Sizes
    noise: Noise
    tensors: Mapping[str, numpy.ndarray]


T = TypeVar("T")


def own_name(name: str) -> str:
    """model.pos_emb to pos_emb; normalizer.params_dict.obs.input_stats.min to norm.obs.min."""
    if name.startswith("model."):
        return name.removeprefix("model.")
    if name.startswith("normalizer.params_dict."):
        return "norm." + name.removeprefix("normalizer.params_dict.").replace(".input_stats.", ".")
    return name


def is_unread(own: str) -> bool:
    """Whether a tensor is in a checkpoint of the reference for nothing that is computed with: masks; `_dummy_variable`, by which
    the policy, its network and its mask generator know their device, without a value; mean and std of the normaliser."""
    return (own in ("mask", "memory_mask") or own.endswith("_dummy_variable")
            or (own.startswith("norm.") and own.endswith((".mean", ".std"))))


def own_tensors(path: pathlib.Path, found: Mapping[str, T]) -> dict[str, T]:
    """By our names, without those that nothing reads. Throws PolicyError where two have the same one."""
    own: dict[str, T] = {}
    for name, tensor in found.items():
        short = own_name(name)
        if is_unread(short):
            continue
        if short in own:
            raise PolicyError(f"{path}: tensor '{name}' is there with and without 'model.'; save one")
        own[short] = tensor
    return own


def is_encoder_only(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return "encoder.layers.0.linear1.weight" in shapes and "decoder.layers.0.linear1.weight" not in shapes


def sizes_of(path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]], n_head: int, n_action_steps: int,
             causal: bool, n_obs_steps: int | None = None) -> Sizes:
    """The other sizes stand in the tensors' shapes; n_obs_steps for the form without a decoder, where none tells it."""
    encoder_only = is_encoder_only(shapes)
    if not encoder_only and any(name.startswith("encoder.layers.") for name in shapes):
        raise PolicyError(f"{path}: has 'encoder.layers.*': a transformer over the conditions (n_cond_layers) is not supported; "
                          "take a policy with n_cond_layers = 0")
    needed = (("norm.action.scale", 1),) if encoder_only else (("cond_obs_emb.weight", 2), ("cond_pos_emb", 3))
    for name, n_dims in (("input_emb.weight", 2), ("pos_emb", 3), *needed):
        if len(shapes.get(name, ())) != n_dims:
            raise PolicyError(f"{path}: tensor '{name}' with {n_dims} dimensions is missing: is no transformer policy")
    n_layer = 0
    while f"{'encoder' if encoder_only else 'decoder'}.layers.{n_layer}.linear1.weight" in shapes:
        n_layer += 1
    n_emb, n_channels = shapes["input_emb.weight"]
    n_rows = shapes["pos_emb"][1]
    if encoder_only:
        action_dim = shapes["norm.action.scale"][0]
        return Sizes(n_layer, n_head, n_emb, n_rows - 1, n_obs_steps, n_action_steps, n_channels - action_dim, action_dim, causal,
                     encoder_only)
    return Sizes(n_layer, n_head, n_emb, n_rows, shapes["cond_pos_emb"][1] - 1, n_action_steps,
                 shapes["cond_obs_emb.weight"][1], n_channels, causal)


def expected_tensors(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Every tensor of the network and of its normaliser, in the order of computation."""
    d, n_ff = sizes.n_emb, 4 * sizes.n_emb
    wanted = {}
    if not sizes.encoder_only:
        wanted = {"cond_obs_emb.weight": (d, sizes.obs_dim), "cond_obs_emb.bias": (d,),
                  "cond_pos_emb": (1, 1 + sizes.n_obs_steps, d), "encoder.0.weight": (n_ff, d), "encoder.0.bias": (n_ff,),
                  "encoder.2.weight": (d, n_ff), "encoder.2.bias": (d,)}
    wanted |= {"input_emb.weight": (d, sizes.n_channels), "input_emb.bias": (d,), "pos_emb": (1, sizes.n_rows, d)}
    attentions = ("self_attn",) if sizes.encoder_only else ("self_attn", "multihead_attn")
    last_norm = f"norm{1 + len(attentions)}"
    for i in range(sizes.n_layer):
        layer = {}
        for norm, attention in zip(("norm1", "norm2"), attentions):
            layer |= {f"{norm}.weight": (d,), f"{norm}.bias": (d,), f"{attention}.in_proj_weight": (3 * d, d),
                      f"{attention}.in_proj_bias": (3 * d,), f"{attention}.out_proj.weight": (d, d),
                      f"{attention}.out_proj.bias": (d,)}
        layer |= {f"{last_norm}.weight": (d,), f"{last_norm}.bias": (d,), "linear1.weight": (n_ff, d), "linear1.bias": (n_ff,),
                  "linear2.weight": (d, n_ff), "linear2.bias": (d,)}
        wanted |= {f"{'encoder' if sizes.encoder_only else 'decoder'}.layers.{i}.{name}": shape for name, shape in layer.items()}
    wanted |= {"ln_f.weight": (d,), "ln_f.bias": (d,), "head.weight": (sizes.n_channels, d), "head.bias": (sizes.n_channels,)}
    for kind, n in (("obs", sizes.obs_dim), ("action", sizes.action_dim)):
        wanted |= {f"norm.{kind}.{name}": (n,) for name in ("scale", "offset", "min", "max")}
    return wanted


def check(policy: Policy) -> None:
    """Throws PolicyError unless the tensors are those of the sizes, finite, and the normaliser can be undone."""
    policy.sizes.check(policy.path)
    policy.noise.check(policy.path)
    wanted = expected_tensors(policy.sizes)
    for name, shape in wanted.items():
        values = policy.tensors.get(name)
        if values is None:
            raise PolicyError(f"{policy.path}: tensor '{name}' {list(shape)} is missing; take the whole checkpoint")
        if values.shape != shape:
            raise PolicyError(f"{policy.path}: tensor '{name}' is {list(values.shape)}, the sizes ask for {list(shape)}")
        if not numpy.isfinite(values).all():
            raise PolicyError(f"{policy.path}: tensor '{name}' holds values that are no finite numbers")
    for name in policy.tensors:
        if name not in wanted:
            raise PolicyError(f"{policy.path}: tensor '{name}' has no place in a transformer policy")
    for kind in ("obs", "action"):
        if (policy.tensors[f"norm.{kind}.scale"] == 0).any():
            raise PolicyError(f"{policy.path}: the normaliser's scale of '{kind}' is 0 for a channel, which cannot be undone")
