#!/usr/bin/env python3
"""Tests of check_floors.py: each rule fires on a small tree that breaks it, and only there."""

import pathlib
import tempfile
import unittest

import check_floors


class CheckFloors(unittest.TestCase):
    def found(self, path: str, text: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(text)
            return check_floors.complaints(pathlib.Path(folder))

    def test_downwards_is_allowed(self):
        self.assertEqual(self.found("src/engines/a.cc", '#include "core/error.h"\n#include <vector>\n'), [])

    def test_upwards_is_refused(self):
        self.assertEqual(len(self.found("src/core/a.h", '#include "engines/generate.h"\n')), 1)

    def test_nets_and_policies_do_not_meet(self):
        self.assertEqual(len(self.found("src/nets/a.cc", '#include "policies/registry.h"\n')), 1)
        self.assertEqual(len(self.found("src/policies/kv/a.cc", '#include "nets/decoder.h"\n')), 1)

    def test_policies_do_not_know_ggml(self):
        self.assertEqual(len(self.found("src/policies/kv/a.cc", "#include <ggml.h>\n")), 1)

    def test_unknown_room_is_refused(self):
        self.assertEqual(len(self.found("src/util/a.cc", "")), 1)


if __name__ == "__main__":
    unittest.main()
