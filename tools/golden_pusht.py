#!/usr/bin/env python3
"""Writes tests/golden/control/pusht_trajectories.json: what the reference simulator of Push-T and its scripted expert do.

    tools/golden_pusht.py FOLDER      # with sim.h and expert.c, the plain C that the specification was checked with

Every entry: `start` (agent x, y, block x, y, angle; the block placed exactly), `lookahead` (pushes the expert plans ahead; 0 for a
motion that no expert chose), `actions` [n][2] and `states` [n][5], the state after each. Floats are written with all their digits.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/control/pusht_trajectories.json"
# Reads a start and actions as text, prints the state after each action.
REPLAY = r"""
#include "sim.h"
int main(void) {
  double st[5], a[2]; Sim s;
  for (int i = 0; i < 5; i++) if (scanf("%lf", &st[i]) != 1) return 1;
  initst(&s, st, 0);
  while (scanf("%lf %lf", &a[0], &a[1]) == 2) {
    ctrl(&s, vv(a[0], a[1]));
    V o = origin(&s);
    printf("%.17g %.17g %.17g %.17g %.17g\n", s.ap.x, s.ap.y, o.x, o.y, s.a);
  }
  return 0;
}
"""
# Pushed at its bar's end, the block turns until a corner meets the upper wall, and slides along it.
WALL_START = [165.0, 55.0, 250.0, 30.0, 0.0]
WALL_ACTIONS = [[165.0 + 7 * i, 55.0] for i in range(1, 21)]


def compiled(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    program = folder / source.stem
    subprocess.run(["gcc", "-O2", "-ffp-contract=off", "-I", folder, source, "-o", program, "-lm"], check=True)
    return program


def episodes(expert: pathlib.Path, folder: pathlib.Path, first: int, n: int, depth: int):
    """Start and actions of the expert's episodes."""
    demo, lengths = folder / "demo.bin", folder / "lengths.bin"
    subprocess.run([expert, str(first), str(n), str(depth), demo, lengths], check=True, stdout=subprocess.DEVNULL)
    rows = list(struct.iter_unpack("7d", demo.read_bytes()))
    for n_steps, is_solved in struct.iter_unpack("2i", lengths.read_bytes()):
        assert is_solved
        yield list(rows[0][:5]), [list(row[5:]) for row in rows[:n_steps]]
        rows = rows[n_steps:]


def main() -> None:
    source = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file in ("sim.h", "expert.c"):
            (folder / file).write_bytes((source / file).read_bytes())
        (folder / "replay.c").write_text(REPLAY)
        replay, expert = compiled(folder / "replay.c", folder), compiled(folder / "expert.c", folder)
        motions = [(0, WALL_START, WALL_ACTIONS)]
        motions += [(1, *episode) for episode in episodes(expert, folder, 0, 2, 0)]
        motions += [(2, *episode) for episode in episodes(expert, folder, 2, 1, 1)]
        trajectories = []
        for lookahead, start, actions in motions:
            text = "\n".join(" ".join(map(repr, row)) for row in [start, *actions])
            done = subprocess.run([replay], input=text, capture_output=True, text=True, check=True)
            states = [[float(word) for word in line.split()] for line in done.stdout.splitlines()]
            trajectories.append({"lookahead": lookahead, "start": start, "actions": actions, "states": states})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(t, separators=(",", ":")) for t in trajectories) + "\n]\n")


if __name__ == "__main__":
    main()
