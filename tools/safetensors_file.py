"""Reads and writes safetensors: eight bytes of header length, a JSON header, then the tensors' bytes.

Source: the format's description, https://github.com/huggingface/safetensors. Values come out in F32, whatever the file
holds, and only when asked for: a checkpoint of 16 GB is never in memory as a whole.
"""

import dataclasses
import json
import math
import pathlib

import numpy

from whole_file import whole_file

MAX_HEADER_BYTES = 100_000_000  # as the format's own reader
DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no BF16: the upper half of an F32


class SafetensorsError(Exception):
    """The file is not what it should be; the text says where and what to do."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of a file. shape is in checkpoint order: [rows, columns]."""

    path: pathlib.Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    first_byte: int

    def values(self) -> numpy.ndarray:
        """All values, F32 [shape]."""
        if 0 in self.shape:  # which cannot be mapped
            return numpy.zeros(self.shape, numpy.float32)
        raw = numpy.memmap(self.path, DTYPES[self.dtype], "r", self.first_byte, self.shape)
        if self.dtype == "BF16":
            return (raw.astype(numpy.uint32) << 16).view(numpy.float32)
        return raw.astype(numpy.float32)


def header(path: pathlib.Path) -> tuple[dict, int]:
    """The JSON header and where the data begin."""
    n_file = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if n_file < 8 or n_header > min(n_file - 8, MAX_HEADER_BYTES):
            raise SafetensorsError(f"{path}: the header ends beyond the file ({n_file} bytes); download it again")
        try:
            entries = json.loads(file.read(n_header))
        except ValueError as error:
            raise SafetensorsError(f"{path}: the header is no JSON ({error}); download the file again") from None
    if not isinstance(entries, dict):
        raise SafetensorsError(f"{path}: the header is no JSON object; download the file again")
    return entries, 8 + n_header


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def tensor(path: pathlib.Path, name: str, entry: object, first: int, n_file: int) -> Tensor:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        is_whole = all(map(is_count, (*shape, begin, end)))
    except (TypeError, KeyError, ValueError):
        is_whole = False
    if not is_whole:
        raise SafetensorsError(f"{path}: tensor '{name}' has no dtype, shape and two offsets; download the file again")
    if dtype not in DTYPES:
        raise SafetensorsError(f"{path}: tensor '{name}' is {dtype}; {', '.join(DTYPES)} are read")
    n_bytes = math.prod(shape) * numpy.dtype(DTYPES[dtype]).itemsize
    if end - begin != n_bytes or first + end > n_file:
        raise SafetensorsError(f"{path}: tensor '{name}' {list(shape)} needs {n_bytes} bytes, offsets are {begin} to "
                               f"{end} and the file has {n_file - first} bytes of data; download it again")
    return Tensor(path, name, dtype, shape, first + begin)


def read_metadata(path: pathlib.Path) -> dict[str, str]:
    """What the header says about the file as a whole."""
    metadata = header(path)[0].get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise SafetensorsError(f"{path}: __metadata__ is no object of texts; download the file again")
    return metadata


def read_folder(folder: pathlib.Path) -> dict[str, Tensor]:
    """The tensors of all *.safetensors of a folder: large checkpoints come in several files."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise SafetensorsError(f"{folder}: holds no *.safetensors; give the folder of a checkpoint")
    return read_files(paths)


def read_files(paths: list[pathlib.Path]) -> dict[str, Tensor]:
    """The tensors of all these files by name."""
    found: dict[str, Tensor] = {}
    for path in paths:
        entries, first = header(path)
        n_file = path.stat().st_size
        for name, entry in entries.items():
            if name == "__metadata__":
                continue
            if name in found:
                raise SafetensorsError(f"{path}: tensor '{name}' is in {found[name].path.name} too; remove one file")
            found[name] = tensor(path, name, entry, first, n_file)
    return found


def write(path: pathlib.Path, tensors: dict[str, numpy.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes F32 tensors, complete or absent. metadata: what to say about the file as a whole."""
    entries, begin = {}, 0
    if metadata:
        entries["__metadata__"] = metadata
    for name, values in tensors.items():
        end = begin + 4 * values.size
        entries[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [begin, end]}
        begin = end
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # data begin at a multiple of eight
    with whole_file(path) as part, part.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for values in tensors.values():
            file.write(numpy.ascontiguousarray(values, "<f4").tobytes())
