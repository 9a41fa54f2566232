"""Writes JSON Lines."""

import json
import os
import pathlib


def write_lines(path: pathlib.Path, rows: list[dict]) -> None:
    """One object a line; the file is complete or absent."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
