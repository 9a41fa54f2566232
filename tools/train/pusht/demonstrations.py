"""Demonstrations of Push-T as training windows: the file of pusht_demonstrations in, normalised observations and actions out."""

import dataclasses

import numpy
from safetensors import safe_open

# The block's corners in its own coordinates, around the outline (kBlockOutline in pusht_geometry.h).
OUTLINE = numpy.array([[-60, 0], [60, 0], [60, 30], [15, 30], [15, 120], [-15, 120], [-15, 30], [-60, 30]], numpy.float64)
CONSTANT = 1e-4  # a channel whose range is smaller is shifted and not scaled


def observations(states: numpy.ndarray) -> numpy.ndarray:
    """States [n, 5] (agent x, y, block x, y, angle) as what the policy sees, F32 [n, 18]: x and y of 8 corners, then of the agent."""
    cos, sin = numpy.cos(states[:, 4:5]), numpy.sin(states[:, 4:5])
    x = states[:, 2:3] + cos * OUTLINE[:, 0] - sin * OUTLINE[:, 1]
    y = states[:, 3:4] + sin * OUTLINE[:, 0] + cos * OUTLINE[:, 1]
    corners = numpy.stack([x, y], axis=-1).reshape(len(states), 16)
    return numpy.concatenate([corners, states[:, :2]], axis=1).astype(numpy.float32)


@dataclasses.dataclass(frozen=True)
class Affine:
    """y = x * scale + offset for each channel, fitted to [-1, 1]; all F32 [n_channels]."""

    scale: numpy.ndarray
    offset: numpy.ndarray
    low: numpy.ndarray
    high: numpy.ndarray

    @staticmethod
    def fitted(values: numpy.ndarray) -> "Affine":
        low, high = values.min(axis=0), values.max(axis=0)
        is_constant = high - low < CONSTANT
        scale = numpy.where(is_constant, 1, 2 / numpy.where(is_constant, 1, high - low))
        offset = numpy.where(is_constant, -low, -1 - scale * low)
        return Affine(*(v.astype(numpy.float32) for v in (scale, offset, low, high)))

    def __call__(self, values: numpy.ndarray) -> numpy.ndarray:
        return values * self.scale + self.offset


@dataclasses.dataclass(frozen=True)
class Demonstrations:
    """Solved episodes one behind the other: raw observations [n, 18] and actions [n, 2], F32, and the episodes' lengths."""

    obs: numpy.ndarray
    action: numpy.ndarray
    lengths: list[int]

    @staticmethod
    def load(path: str) -> "Demonstrations":
        """Raises ValueError when no episode of the file is solved."""
        with safe_open(path, "numpy") as file:
            state, action, lengths, solved = (file.get_tensor(name) for name in ("state", "action", "length", "solved"))
        keep = numpy.repeat(solved, lengths).astype(bool)
        if not keep.any():
            raise ValueError(f"{path}: no episode is solved; make others with pusht_demonstrations")
        kept = [int(n) for n, is_solved in zip(lengths, solved) if is_solved]
        return Demonstrations(observations(state[keep]), action[keep].astype(numpy.float32), kept)

    def windows(self, n_horizon: int, n_obs_steps: int, n_action_steps: int) -> numpy.ndarray:
        """Row numbers [n_windows, n_horizon]. A window may begin before an episode and end behind it: the edge rows repeat."""
        out, first = [], 0
        for n in self.lengths:
            starts = range(-(n_obs_steps - 1), n - n_horizon + n_action_steps)
            out += [numpy.clip(numpy.arange(s, s + n_horizon), 0, n - 1) + first for s in starts]
            first += n
        if not out:
            raise ValueError(f"every episode is shorter than {n_horizon - n_action_steps} steps; nothing to learn from")
        return numpy.stack(out)
