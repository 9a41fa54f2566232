#!/usr/bin/env python3
"""Everything the build reads outside this tree comes from packages that tools/setup.sh installs.

REPRISE_BUILD names the build folder; CMake sets it. Passed over where no Debian packages are.
"""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

BUILD = pathlib.Path(os.environ["REPRISE_BUILD"])
SETUP = pathlib.Path(__file__).parent / "setup.sh"


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


def setup_packages():
    return set(re.search(r"packages=\(([^)]*)\)", SETUP.read_text())[1].split())


def closure(wanted):
    """The packages that come with `wanted`: their dependencies as installed here, and what every Debian has."""
    depends, providers = {}, {}
    fields = "${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    for line in output("dpkg-query", "-W", "-f", fields).splitlines():
        package, essential, dependencies, provides = line.split("\t")
        depends[package] = [[re.split(r"[ :(]", word.strip())[0] for word in group.split("|")]
                            for group in dependencies.split(",") if group.strip()]
        providers.setdefault(package, []).append(package)
        for word in filter(None, map(str.strip, provides.split(","))):
            providers.setdefault(word.split(" ")[0], []).append(package)
        if essential == "yes":
            wanted = wanted | {package}
    found, left = set(), list(wanted)
    while left:
        package = left.pop()
        if package in found:
            continue
        found.add(package)
        for group in depends.get(package, []):
            left += [provider for name in group for provider in providers.get(name, [])]
    return found


def used_files():
    """System headers that the compiler read, and libraries that the linker is given."""
    files = set(re.findall(r"^ +(/usr/\S+)$", output("ninja", "-C", str(BUILD), "-t", "deps"), re.MULTILINE))
    for line in (BUILD / "build.ninja").read_text().splitlines():
        if line.startswith("  LINK_LIBRARIES ="):
            files |= set(re.findall(r"(/usr/lib/\S+\.(?:a|so))\b", line))
    return {os.path.normpath(path) for path in files if not path.startswith("/usr/local/")}


@unittest.skipUnless(shutil.which("dpkg-query"), "no Debian packages here")
class Setup(unittest.TestCase):
    def test_installs_what_the_build_reads(self):
        files = used_files()
        self.assertTrue(any("gtest" in path for path in files), "nothing was built yet")
        installed = closure(setup_packages())
        owners = {}
        for line in output("dpkg-query", "-S", *sorted(files)).splitlines():
            packages, path = line.split(": ", 1)
            owners[path] = {package.split(":")[0] for package in packages.split(", ")}
        self.assertTrue(owners)
        missing = {package for packages in owners.values() if not packages & installed for package in packages}
        self.assertEqual(missing, set())


if __name__ == "__main__":
    unittest.main()
