"""Reads the reference's own checkpoint, a torch.save with the dill pickle module.

Loading such a file runs whatever code its maker put into it. Everything but the numbers is thrown away here: classes of the
reference (hydra, omegaconf, diffusion_policy) need not be installed, and stand-ins take their places.
"""

import pathlib
import types

import numpy

from policy_checkpoint import IGNORED, Noise, Policy, PolicyError, is_encoder_only, own_name, sizes_of


class Placeholder:
    """Takes the place of any class that is not installed, with whatever it is given."""

    def __init__(self, *args: object, **kwargs: object):
        self.args = args

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})

    def __setitem__(self, key: object, value: object) -> None:
        self.__dict__.setdefault("items", {})[key] = value


def unpickler(dill: types.ModuleType) -> types.ModuleType:
    """A pickle module whose unknown classes are Placeholder."""

    class Unpickler(dill.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                return Placeholder

    module = types.ModuleType("dill_with_placeholders")
    module.Unpickler = Unpickler
    module.load = lambda file, **kwargs: Unpickler(file, **kwargs).load()
    return module


def plain(node: object) -> object:
    """A configuration of omegaconf, or its placeholder, as dicts, lists and values."""
    content = getattr(node, "_content", None) if not isinstance(node, dict) else node
    if content is None and hasattr(node, "_val"):
        return node._val
    if isinstance(content, dict):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [plain(value) for value in content]
    return node


def config_value(path: pathlib.Path, config: object, *keys: str) -> object:
    for key in keys:
        if not isinstance(config, dict) or key not in config:
            raise PolicyError(f"{path}: the configuration has no '{'.'.join(keys)}'; give it on the command line")
        config = config[key]
    if isinstance(config, str) and config.startswith("${"):
        raise PolicyError(f"{path}: the configuration's '{'.'.join(keys)}' is {config}; give it on the command line")
    return config


def read(path: pathlib.Path, n_head: int | None, n_action_steps: int | None, n_obs_steps: int | None = None) -> Policy:
    """Runs code of the file. The numbers: instead of the configuration's. Throws PolicyError."""
    try:
        import dill
        import torch
    except ImportError as missing:
        raise PolicyError(f"{missing}; python3 -m venv .venv && .venv/bin/pip install torch dill") from None
    try:
        payload = torch.load(path, map_location="cpu", pickle_module=unpickler(dill), weights_only=False)
    except Exception as error:  # any class may be in there, and any of their errors
        raise PolicyError(f"{path}: cannot be read as a checkpoint of torch.save ({type(error).__name__}: {error})") from None
    states = payload.get("state_dicts") if isinstance(payload, dict) else None
    state = states.get("ema_model", states.get("model")) if isinstance(states, dict) else None
    if not isinstance(state, dict):
        raise PolicyError(f"{path}: holds no state_dicts with 'ema_model' or 'model'; is no checkpoint of Diffusion Policy")
    tensors = {own_name(name): values.float().numpy() for name, values in state.items() if hasattr(values, "float")}
    tensors = {name: values for name, values in tensors.items()
               if name not in IGNORED and not (name.startswith("norm.") and name.endswith((".mean", ".std")))}
    config = plain(payload.get("cfg"))
    policy = config.get("policy", {}) if isinstance(config, dict) else {}
    if n_head is None:
        n_head = config_value(path, policy, "model", "n_head")
    if n_action_steps is None:
        n_action_steps = config_value(path, policy, "n_action_steps")
    model = policy.get("model", {}) if isinstance(policy, dict) else {}
    scheduler = policy.get("noise_scheduler", {}) if isinstance(policy, dict) else {}
    known = {field: scheduler[field] for field in Noise.__dataclass_fields__ if field in scheduler}
    shapes = {name: tuple(values.shape) for name, values in tensors.items()}
    if n_obs_steps is None and is_encoder_only(shapes):
        n_obs_steps = config_value(path, policy, "n_obs_steps")
    sizes = sizes_of(path, shapes, n_head, n_action_steps, bool(model.get("causal_attn", True)), n_obs_steps)
    return Policy(path, sizes, Noise(**known), {name: numpy.ascontiguousarray(v) for name, v in tensors.items()})
