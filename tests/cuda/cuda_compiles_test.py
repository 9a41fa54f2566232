#!/usr/bin/env python3
"""nvcc compiles every .cu file of ours without a warning, for one architecture. Without nvcc it is skipped, and fails where
REPRISE_NEEDS_NVCC is set, as our CI sets it: there a skip would hide that nothing was compiled.

CUDA_ARCH and REPRISE_GGML_INCLUDE name the architecture and ggml's headers; CMake sets them.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
SKIPPED = 77


def main() -> int:
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None and os.environ.get("REPRISE_NEEDS_NVCC"):
        print("REPRISE_NEEDS_NVCC is set and nvcc is neither on PATH nor in /usr/local/cuda/bin: install the CUDA toolkit, "
              "or unset it to skip this test")
        return 1
    if nvcc is None:
        print("skipped: nvcc is not on this machine, so that our .cu files were not compiled")
        return SKIPPED
    files = sorted((ROOT / "src").rglob("*.cu"))
    if not files:
        print("no .cu file under src/")
        return 1
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            result = subprocess.run(
                [nvcc, "-std=c++20", f"-arch=sm_{os.environ['CUDA_ARCH']}", "-Xcompiler=-Wall,-Wextra",
                 "-Werror=all-warnings", "-I", ROOT / "src", "-I", ROOT / "include",
                 "-I", os.environ["REPRISE_GGML_INCLUDE"], "-c", path, "-o", pathlib.Path(folder) / "out.o"],
                capture_output=True, text=True)
            print(path.relative_to(ROOT), "compiles" if result.returncode == 0 else "does not compile")
            if result.returncode != 0:
                print(result.stdout + result.stderr)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
