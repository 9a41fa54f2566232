#!/usr/bin/env python3
"""Downloads one file of a Python package, and goes on where an earlier download broke off.

Usage: pip_download.py --dest FOLDER --begun FOLDER [--sdist] PACKAGE==VERSION

pip finds the file, by its own settings (index, links, proxy, certificates, credentials), and its own connection fetches
it; it is neither unpacked nor run. What has come lies in --begun as .FILE.begun until it is whole, then in --dest. The
index's hash is checked where it gives one. pip does not promise its inside to others: where it looks different, and for
whatever goes wrong before the first byte, `pip download` does the work from the start, with its own messages.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import sys

CHUNK = 1 << 20
MOST_BREAKS = 5  # of the connection, in one run


class Broken(Exception):
    """The connection broke after some bytes."""


def format_flags(requirement: str, is_sdist: bool) -> list[str]:
    return ["--no-binary", requirement.partition("==")[0]] if is_sdist else ["--only-binary", ":all:"]


def find(requirement: str, is_sdist: bool):
    """The link that pip would download, and the session that can."""
    from pip._internal.commands import create_command  # pylint: disable=import-outside-toplevel
    from pip._vendor.packaging.specifiers import SpecifierSet  # pylint: disable=import-outside-toplevel

    package, _, version = requirement.partition("==")
    command = create_command("download")
    options, _ = command.parse_args(
        ["--no-cache-dir", "--retries", "1", *format_flags(requirement, is_sdist), requirement])
    with command.main_context():
        session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    return finder.find_best_candidate(package, SpecifierSet(f"=={version}")).best_candidate.link, session


def is_as_promised(path: pathlib.Path, link) -> bool:
    if not link.hash_name:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, link.hash_name).hexdigest() == link.hash


def fetch_rest(session, link, begun: pathlib.Path):
    """Appends what is missing. Throws Broken."""
    n_here = begun.stat().st_size if begun.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if n_here > 0:
        headers["Range"] = f"bytes={n_here}-"
    with session.get(link.url_without_fragment, headers=headers, stream=True) as response:
        if n_here > 0 and response.status_code == 416:  # nothing is missing, or it is another file: the hash tells
            return
        response.raise_for_status()
        n_whole = int(response.headers["Content-Length"])
        goes_on = response.status_code == 206
        if goes_on:
            n_whole = int(response.headers["Content-Range"].rpartition("/")[2])
        with begun.open("ab" if goes_on else "wb") as out:
            try:
                while chunk := response.raw.read(CHUNK):
                    out.write(chunk)
            except OSError:
                raise  # the disk
            except Exception as error:  # urllib3's
                raise Broken(f"connection broken: {error}") from error
    if begun.stat().st_size < n_whole:
        raise Broken(f"connection broken after {begun.stat().st_size:,} of {n_whole:,} bytes")


def download(requirement: str, is_sdist: bool, dest: pathlib.Path, begun_folder: pathlib.Path):
    link, session = find(requirement, is_sdist)
    begun = begun_folder / f".{link.filename}.begun"
    if link.is_file:
        shutil.copyfile(link.file_path, dest / link.filename)
        return
    for i in range(MOST_BREAKS + 1):
        try:
            fetch_rest(session, link, begun)
            break
        except Broken:
            if i == MOST_BREAKS:
                raise
    if not is_as_promised(begun, link):
        begun.unlink()
        raise ValueError(f"{link.filename} does not have the hash that the index promises")
    begun.replace(dest / link.filename)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dest", type=pathlib.Path, required=True)
    parser.add_argument("--begun", type=pathlib.Path, required=True)
    parser.add_argument("--sdist", action="store_true")
    parser.add_argument("requirement")
    arguments = parser.parse_args()
    arguments.dest.mkdir(parents=True, exist_ok=True)
    try:
        download(arguments.requirement, arguments.sdist, arguments.dest, arguments.begun)
        return 0
    except (Broken, OSError) as error:
        if isinstance(error, Broken) or error.errno is not None:
            print(error, file=sys.stderr)
            return 1
    except Exception:  # pylint: disable=broad-except  # another pip inside, or no way to the index
        pass
    os.execv(sys.executable, [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *format_flags(arguments.requirement, arguments.sdist),
                              "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
                              "--dest", str(arguments.dest), arguments.requirement])
    return 1


if __name__ == "__main__":
    sys.exit(main())
