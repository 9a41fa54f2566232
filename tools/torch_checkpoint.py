"""Reads the reference's own checkpoint, a torch.save with the dill pickle module.

Loading such a file runs whatever code its maker put into it. Everything but the numbers is thrown away here: classes of the
reference (hydra, omegaconf, diffusion_policy) need not be installed, and stand-ins take their places.
"""

import pathlib
import re
import types

import numpy

from policy_checkpoint import Noise, Policy, PolicyError, check_slice, is_encoder_only, own_tensors, sizes_of


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
    return content if isinstance(content, str) else node  # the name of another one


class Config:
    """A checkpoint's configuration. A value like ${a.b} is the one of that name, seen from the top; other resolvers (${eval:...})
    are not there."""

    POINTER = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")
    MOST_POINTERS = 32

    def __init__(self, path: pathlib.Path, content: object):
        self.path = path
        self.content = content

    def value(self, name: str, default: object = None) -> object:
        """Of "policy.model.n_head"; the default where there is none. Throws PolicyError."""
        value = self._followed(name, 0)
        return default if value is None else value

    def needed(self, name: str) -> object:
        """Throws PolicyError where there is none."""
        value = self.value(name)
        if value is None:
            raise PolicyError(f"{self.path}: the configuration has no '{name}'; give it on the command line")
        return value

    def _followed(self, name: str, n_pointers: int) -> object:
        node = self.content
        for key in name.split("."):
            node = node.get(key) if isinstance(node, dict) else None
            if isinstance(node, str) and "${" in node:
                pointer = self.POINTER.fullmatch(node)
                if pointer is None or n_pointers == self.MOST_POINTERS:
                    raise PolicyError(f"{self.path}: the configuration's '{name}' is {node}, which leads to no value here; save "
                                      "it resolved (OmegaConf.resolve), or give it on the command line")
                node = self._followed(pointer[1], n_pointers + 1)
        return node


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
    own = own_tensors(path, {name: values for name, values in state.items() if hasattr(values, "float")})
    tensors = {name: values.float().numpy() for name, values in own.items()}
    shapes = {name: tuple(values.shape) for name, values in tensors.items()}
    config = Config(path, plain(payload.get("cfg")))
    check_slice(path, config.value("policy.pred_action_steps_only", False))
    if n_head is None:
        n_head = config.needed("policy.model.n_head")
    if n_action_steps is None:
        n_action_steps = config.needed("policy.n_action_steps")
    if n_obs_steps is None and is_encoder_only(shapes):
        n_obs_steps = config.needed("policy.n_obs_steps")
    # The network keeps its mask with its weights, if it has one.
    is_causal = bool(config.value("policy.model.causal_attn", "model.mask" in state))
    noise = {field: config.value(f"policy.noise_scheduler.{field}", default) for field, default in vars(Noise()).items()}
    sizes = sizes_of(path, shapes, n_head, n_action_steps, is_causal, n_obs_steps)
    return Policy(path, sizes, Noise(**noise), {name: numpy.ascontiguousarray(v) for name, v in tensors.items()})
