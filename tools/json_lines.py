"""Writes JSON Lines."""

import json
import pathlib

from whole_file import whole_file


def write_lines(path: pathlib.Path, rows: list[dict]) -> None:
    """One object a line; the file is complete or absent."""
    with whole_file(path) as part:
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
