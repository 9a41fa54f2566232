#!/usr/bin/env python3
"""Writes tests/golden/control/pusht_trajectories.json: what gym-pusht does with actions of the reference's scripted expert.

    pip install gym-pusht==0.1.8 'pymunk<7'
    tools/golden_pusht.py FOLDER      # with sim.h and expert.c, the plain C that the specification was checked with

Every entry: `start` (agent x, y, block x, y, angle, placed the legacy way), `lookahead` (pushes the expert plans ahead; 0 for a
motion that no expert chose), `actions` [n][2] and `states` [n][5], gym-pusht's after each. Floats with all their digits.

The C's simulator goes over contacts in an order of its own and takes 0.1 and 0.9 for what Chipmunk has as floats. The latter is
put right here; of its episodes those are taken that it and gym-pusht agree on, so that the expert's choices can be compared, too.
"""

import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import gym_pusht.envs.pusht

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control/pusht_trajectories.json"
# Pushed at its bar's end, the block turns until a corner meets the upper wall, and slides along it.
WALL_START = [165.0, 55.0, 250.0, 30.0, 0.0]
WALL_ACTIONS = [[165.0 + 7 * i, 55.0] for i in range(1, 21)]
FLOATS = (("pow(pow(0.9,60),dt)", "pow(pow((double)(1.0f-0.1f),60),dt)"), ("d+0.1)", "d+(double)0.1f)"),
          ("dist+0.1)", "dist+(double)0.1f)"))
AGREED = 1e-9


def compiled_expert(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    simulator = (source / "sim.h").read_text()
    for ours, chipmunks in FLOATS:
        assert ours in simulator, ours
        simulator = simulator.replace(ours, chipmunks)
    (folder / "sim.h").write_text(simulator)
    (folder / "expert.c").write_bytes((source / "expert.c").read_bytes())
    program = folder / "expert"
    subprocess.run(["gcc", "-O2", "-ffp-contract=off", "-o", program, folder / "expert.c", "-lm"], check=True)
    return program


def episode(expert: pathlib.Path, folder: pathlib.Path, i_episode: int, depth: int) -> list:
    """Rows of the expert's episode: agent x, y, block x, y, angle, action x, y."""
    demo = folder / "demo.bin"
    subprocess.run([expert, str(i_episode), "1", str(depth), demo], check=True, stdout=subprocess.DEVNULL)
    return list(struct.iter_unpack("7d", demo.read_bytes()))


def legacy_start(state) -> list[float]:
    """The numbers from which the legacy way of placing makes this state: turned about (0, 45) instead of (0, 0)."""
    agent_x, agent_y, x, y, angle = state
    return [agent_x, agent_y, x - 45 * math.sin(angle), y + 45 * math.cos(angle) - 45, angle]


def states_of(start, actions) -> list[list[float]]:
    env = gym_pusht.envs.pusht.PushTEnv(obs_type="state")
    env.reset(options={"reset_to_state": start})
    states = []
    for action in actions:
        env.step(action)
        states.append([*env.agent.position, *env.block.position, env.block.angle])
    return states


def trajectory(lookahead: int, start, actions) -> dict:
    return {"lookahead": lookahead, "start": start, "actions": actions, "states": states_of(start, actions)}


def agrees(rows, states) -> bool:
    return all(abs(a - b) <= AGREED for row, state in zip(rows[1:], states) for a, b in zip(row[:5], state))


def main() -> None:
    trajectories = [trajectory(0, WALL_START, WALL_ACTIONS)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        expert = compiled_expert(pathlib.Path(sys.argv[1]), folder)
        for lookahead, n_wanted in ((1, 2), (2, 1)):
            i_episode = 0
            while n_wanted:
                rows = episode(expert, folder, i_episode, lookahead - 1)
                entry = trajectory(lookahead, legacy_start(rows[0][:5]), [list(row[5:]) for row in rows])
                is_taken = agrees(rows, entry["states"])
                print(f"lookahead {lookahead}, episode {i_episode}: {len(rows)} steps, {'taken' if is_taken else 'passed over'}")
                if is_taken:
                    trajectories.append(entry)
                    n_wanted -= 1
                i_episode += 1
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(t, separators=(",", ":")) for t in trajectories) + "\n]\n")


if __name__ == "__main__":
    main()
