#!/usr/bin/env python3
"""Fails when a source file includes a higher floor, or when nets and policies include each other.

The floors are those of docs/architecture.md; an include may only point downwards. Usage: check_floors.py ROOT
"""

import pathlib
import re
import sys

FLOOR = {"core": 1, "nets": 2, "policies": 2, "engines": 3, "serving": 4, "training": 4, "cli": 5}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
POLICY_MUST_NOT = re.compile(r"^(ggml|gguf|llama)")


def complaints(root: pathlib.Path) -> list[str]:
    found = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in {".cc", ".h", ".cu"}:
            continue
        room = path.relative_to(root / "src").parts[0]
        where = path.relative_to(root)
        if room not in FLOOR:
            found.append(f"{where}: 'src/{room}' is no floor of the plan")
            continue
        for header in INCLUDE.findall(path.read_text()):
            target = header.removeprefix("src/").split("/")[0]
            if room == "policies" and POLICY_MUST_NOT.match(header):
                found.append(f"{where}: a policy includes {header}")
            if target not in FLOOR or target == room:
                continue
            if FLOOR[target] > FLOOR[room]:
                found.append(f"{where}: floor {FLOOR[room]} ({room}) includes floor {FLOOR[target]} ({header})")
            elif FLOOR[target] == FLOOR[room]:
                found.append(f"{where}: {room} and {target} may not know each other ({header})")
    return found


def main() -> int:
    found = complaints(pathlib.Path(sys.argv[1]))
    print("\n".join(found) if found else "floors: every include points downwards")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
