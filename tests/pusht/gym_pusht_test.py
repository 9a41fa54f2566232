#!/usr/bin/env python3
"""The Push-T world against the public gym-pusht package: same starts, same actions, same states and coverage.

REPRISE_PUSHT_REPLAY is the path of the program that replays actions in our world. Passed over (77) where the package does not
load or runs on pymunk 7, whose interface it does not know: pip install gym-pusht==0.1.8 'pymunk<7'. REPRISE_GYM_PYTHON may name
the Python that has it, REPRISE_GYM_EPISODES more or fewer episodes than 40.
"""

import math
import os
import random
import subprocess
import sys
import unittest
import warnings

SKIPPED = 77
STEPS = 60
EPISODES = int(os.environ.get("REPRISE_GYM_EPISODES", "40"))
# px and rad; see pusht_trajectory_test.cc.
TOLERANCE = 1e-9


def load():
    """gym_pusht's module, or the reason why there is none."""
    warnings.simplefilter("ignore")
    try:
        import pymunk
        if int(pymunk.version.split(".")[0]) >= 7:
            return None, f"gym-pusht does not run on pymunk {pymunk.version}; install 'pymunk<7'"
        import gym_pusht.envs.pusht
    except ImportError as error:
        return None, f"gym-pusht does not load ({error}); install gym-pusht==0.1.8 'pymunk<7'"
    return gym_pusht.envs.pusht, ""


def replayed(start, actions) -> list[list[float]]:
    text = "\n".join(" ".join(map(repr, row)) for row in [start, *actions])
    done = subprocess.run([os.environ["REPRISE_PUSHT_REPLAY"]], input=text, capture_output=True, text=True, timeout=60, check=True)
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def random_episode(seed: int):
    """A start, and targets that wander about the block so that they push it."""
    rng = random.Random(seed)
    start = [float(rng.randrange(50, 450)), float(rng.randrange(50, 450)), float(rng.randrange(150, 350)),
             float(rng.randrange(150, 350)), rng.uniform(-math.pi, math.pi)]
    target, actions = start[:2], []
    for _ in range(STEPS):
        aim = [start[2] + rng.gauss(0, 60), start[3] + rng.gauss(0, 60)]
        target = [p + max(-25.0, min(25.0, q - p)) for p, q in zip(target, aim)]
        actions.append(list(target))
    return start, actions


class GymPusht(unittest.TestCase):
    def test_every_state_and_coverage_is_the_same(self):
        n_moved = 0
        for seed in range(EPISODES):
            start, actions = random_episode(seed)
            env = MODULE.PushTEnv(obs_type="state")
            env.reset(options={"reset_to_state": start})
            rows = replayed(start, actions)
            self.assertEqual(len(rows), STEPS + 1)
            for i_step, (action, row) in enumerate(zip([None, *actions], rows)):
                if action is not None:
                    env.step(action)
                with self.subTest(seed=seed, step=i_step):
                    want = [*env.agent.position, *env.block.position, env.block.angle, env._get_coverage()]
                    for ours, theirs in zip(row, want):
                        self.assertAlmostEqual(ours, theirs, delta=TOLERANCE)
            n_moved += rows[0][2:5] != rows[-1][2:5]
        self.assertGreater(n_moved, 3 * EPISODES / 4)

    def test_the_published_start_lies_where_it_says(self):
        env = MODULE.PushTEnv(obs_type="state")
        env.reset(options={"reset_to_state": [0, 10, 20, 30, 1.0]})
        row = replayed([0, 10, 20, 30, 1.0], [])[0]
        for ours, theirs in zip(row, [*env.agent.position, *env.block.position, env.block.angle]):
            self.assertAlmostEqual(ours, theirs, delta=TOLERANCE)


if __name__ == "__main__":
    other = os.environ.get("REPRISE_GYM_PYTHON")
    if other and "REPRISE_GYM_STARTED" not in os.environ:
        os.execve(other, [other, *sys.argv], {**os.environ, "REPRISE_GYM_STARTED": "1"})
    MODULE, reason = load()
    if MODULE is None:
        print(f"passed over: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
