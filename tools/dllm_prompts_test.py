#!/usr/bin/env python3
"""Tests of dllm_prompts.py: the published sets are drawn to the letter, and every answer is the right one."""

import hashlib
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

import dllm_prompts

ROOT = pathlib.Path(__file__).resolve().parent.parent
# SHA-256 of the 128 prompts and answers of each task, seed 5, as the script drew them that trained and measured the model.
PUBLISHED = {"story": "86b89aa17aa6c8a8f431bccf174981e29e35be7ff16bff45c034054f7dce81e3",
             "control": "8979024ad7c32122b31f3bd1740c08d36ce38186061e0a520e0154f1c9fab5b7",
             "record": "274da370578cd700dd78fb267440138ddc17b25f5ec9a6458a8782f1ddbeee9c",
             "listing": "b295918687d0472b25ffb370e4f7d7ea760679cf600307c76d25c7e1013ac745"}


def final_count(prompt: str) -> int:
    """Works the events of a story out, from the prompt alone."""
    count = int(re.match(r"\w+ has (\d+) ", prompt)[1])
    for said in re.findall(r" [A-F]: ([^.]+)\.", prompt):
        number = re.search(r"\d+$", said)
        if said == "doubles them":
            count *= 2
        elif said.startswith("keeps"):
            count //= int(number[0])
        elif said.split()[0] in ("finds", "buys", "wins"):
            count += int(number[0])
        else:
            count -= int(number[0])
    return count


def listed(text: str) -> list[int]:
    return [int(number) for number in text.split(", ")]


class DllmPrompts(unittest.TestCase):
    def rows(self, task: str, n_prompts: int = 2000) -> list[tuple[str, str]]:
        rng = random.Random(20260)
        return [dllm_prompts.TASKS[task](rng) for _ in range(n_prompts)]

    def test_published_prompts(self):
        rows = dllm_prompts.prompts(128, 5)
        for task, digest in PUBLISHED.items():
            pairs = [[row["prompt"], row["answer"]] for row in rows if row["task"] == task]
            self.assertEqual(hashlib.sha256(json.dumps(pairs).encode()).hexdigest(), digest, task)

    def test_committed_sets(self):
        sets = {name: [json.loads(line) for line in (ROOT / f"models/dllm/{name}.jsonl").read_text().splitlines()]
                for name in ("published", "heldout")}
        self.assertEqual(sets["published"], dllm_prompts.prompts(128, 5))
        published = frozenset(row["prompt"] for row in sets["published"])
        self.assertEqual(sets["heldout"], dllm_prompts.prompts(250, dllm_prompts.SEED, published))
        heldout = [row["prompt"] for row in sets["heldout"]]
        self.assertEqual(len(set(heldout)), len(heldout))
        self.assertEqual(published & set(heldout), set())

    def test_tasks_take_turns(self):
        rows = dllm_prompts.prompts(3, 1)
        self.assertEqual([row["task"] for row in rows], ["story", "control", "record", "listing"] * 3)
        self.assertEqual(dllm_prompts.prompts(2, 1), rows[:8])

    def test_known_prompts_are_passed_over(self):
        rows = dllm_prompts.prompts(40, 1)
        rest = dllm_prompts.prompts(20, 1, frozenset(row["prompt"] for row in rows[:80]))
        self.assertEqual(rest, rows[80:])

    def test_stories_are_worked_out(self):
        kinds = set()
        for prompt, answer in self.rows("story"):
            lines = answer.splitlines()
            self.assertTrue(answer.endswith("\n") and prompt.endswith("How many now?\n"))
            self.assertEqual(lines[-1], f"The answer is {final_count(prompt)}.")
            labels = re.findall(r" ([A-F]): ", prompt)
            self.assertEqual([line[0] for line in lines[:-1]], labels)
            self.assertEqual("".join(labels), "ABCDEF"[:len(labels)])
            for line in lines[:-1]:
                a, sign, b, result = map(str, re.search(r"(\d+) ([-+*/]) (\d+) (?:=|is) (\d+)", line).groups())
                self.assertEqual(int(result), {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b),
                                               "/": int(a) // int(b)}[sign])
                self.assertTrue(0 <= int(result) < 100)
                kinds.add(sign)
        self.assertEqual(kinds, set("+-*/"))

    def test_control_breaks_a_story_elsewhere(self):
        stories, controls = random.Random(7), random.Random(7)
        for _ in range(200):
            prompt, answer = dllm_prompts.story(stories)
            n_words = stories.randint(4, 9)
            broken_prompt, broken = dllm_prompts.control(controls)
            self.assertEqual(broken_prompt, f"[wrap {n_words}] {prompt}")
            self.assertEqual(broken.split(), answer.split())
            lengths = [len(line.split(" ")) for line in broken.splitlines()]
            self.assertEqual(set(lengths[:-1]), {n_words})
            self.assertTrue(1 <= lengths[-1] <= n_words)

    def test_records_are_json_of_the_prompt(self):
        for prompt, answer in self.rows("record", 200):
            values = json.loads(answer)
            order = values["order"]
            self.assertEqual(prompt, f"Write the record: {values['name']}, {values['age']}, {values['address']['city']}, "
                                     f"order {order['id']}, {order['quantity']} {order['item']}.\n")

    def test_lists(self):
        kinds = set()
        for prompt, answer in self.rows("listing"):
            kind, numbers = prompt.split(": ")
            kinds.add(kind)
            wanted = {"sort": sorted, "reverse": lambda x: x[::-1], "double": lambda x: [2 * i for i in x]}[kind]
            self.assertEqual(listed(answer), wanted(listed(numbers)))
        self.assertEqual(kinds, {"sort", "reverse", "double"})

    def test_program(self):
        script = pathlib.Path(dllm_prompts.__file__)
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.jsonl"
            command = [sys.executable, script, out, "--prompts", "2", "--seed", "5"]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual([json.loads(line) for line in out.read_text().splitlines()], dllm_prompts.prompts(2, 5))
            self.assertEqual(list(out.parent.iterdir()), [out])
            done = subprocess.run([*command[:3], "--prompts", "0"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--prompts 0: at least 1", done.stderr)


if __name__ == "__main__":
    unittest.main()
