#!/usr/bin/env python3
"""Tests of the recall text, its vocabulary and the question sets made of it. Needs no PyTorch."""

import pathlib
import random
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).parent.parent))
import recall_questions
import recall_text
import recall_vocab

N_CTX = 512  # of the recall model


def lessons(seed: int, n_lessons: int = 200):
    rng = random.Random(seed)
    for _ in range(n_lessons):
        n_tokens = rng.choice((32, 63, 127, 255, 510))
        yield n_tokens, *recall_text.lesson(rng, n_tokens, max_records=max(1, n_tokens // 8))


class VocabularyTest(unittest.TestCase):
    def test_each_piece_is_one_token(self):
        for piece in [*recall_vocab.KEYS, *recall_vocab.VALUES, *recall_vocab.FILLERS, *"=;?,\n"]:
            self.assertEqual(recall_vocab.tokenize(piece), [recall_vocab.piece_ids()[piece]], repr(piece))

    def test_every_byte_is_a_token_and_no_token_stands_twice(self):
        tokens = recall_vocab.tokens()
        self.assertEqual(len(set(recall_vocab.byte_letters())), 256)
        self.assertLessEqual(set(recall_vocab.byte_letters()), set(tokens))
        self.assertEqual(len(set(tokens)), len(tokens))
        self.assertLess(len(tokens), 700)

    def test_any_text_comes_back(self):
        for text in ("Hello, world!", "naïve café 12345", "ba=12;?ba=", "\n\n  \t", "日本語"):
            pieces = "".join(recall_vocab.merge_all(recall_vocab.to_letters(text), recall_vocab.merges()))
            byte_of = {letter: byte for byte, letter in enumerate(recall_vocab.byte_letters())}
            self.assertEqual(bytes(byte_of[letter] for letter in pieces).decode(), text)


class LessonTest(unittest.TestCase):
    def test_text_splits_into_the_pieces(self):
        for _, pieces, _ in lessons(seed=1):
            want = [recall_vocab.piece_ids()[piece] for piece in pieces]
            self.assertEqual(recall_vocab.tokenize("".join(pieces)), want, "seed 1: " + "".join(pieces))

    def test_keys_are_distinct_and_answers_right(self):
        for n_tokens, pieces, starts in lessons(seed=2):
            self.assertLessEqual(len(pieces), n_tokens)
            self.assertTrue(starts)
            document = pieces[:starts[0] - 3]
            keys = [piece for piece in document if piece in recall_vocab.KEYS]
            self.assertEqual(len(keys), len(set(keys)), "seed 2: " + "".join(pieces))
            for start in starts:
                mark, key, equals, value, end = pieces[start - 3:start + 2]
                self.assertEqual((mark, equals, end), ("?", "=", ";"))
                at = document.index(key)
                self.assertEqual(document[at + 1:at + 4], ["=", value, ";"])

    def test_same_seed_gives_same_text(self):
        self.assertEqual(list(lessons(seed=3, n_lessons=20)), list(lessons(seed=3, n_lessons=20)))
        self.assertNotEqual(list(lessons(seed=3, n_lessons=20)), list(lessons(seed=4, n_lessons=20)))

    def test_refuses_more_records_than_fit(self):
        for n_tokens, n_records in ((40, 11), (512, 106), (64, 0)):
            with self.assertRaises(ValueError):
                recall_text.document(random.Random(1), n_tokens, n_records)


class QuestionTest(unittest.TestCase):
    def test_pairs_fit_the_context_and_have_one_answer(self):
        for row in recall_questions.questions("pairs", n_questions=200, seed=5):
            n_document = len(recall_vocab.tokenize(row["document"]))
            n_all = 1 + len(recall_vocab.tokenize(row["document"] + row["question"] + row["answer"]))
            self.assertTrue(440 <= n_document <= 490, n_document)
            self.assertLess(n_all, N_CTX)
            record = row["question"].removeprefix("?") + row["answer"]
            self.assertEqual(row["document"].count(record), 1)
            self.assertEqual(row["document"].count(row["question"].removeprefix("?")), 1)

    def test_facts_hold_their_answer_once(self):
        for row in recall_questions.questions("facts", n_questions=100, seed=6):
            self.assertEqual(row["document"].lower().count(row["answer"].lower()), 1, row["answer"])
            self.assertNotIn(row["answer"].lower(), row["question"].lower())
            self.assertTrue(6000 <= len(row["document"]) <= 7500, len(row["document"]))

    def test_depths_are_spread_evenly(self):
        for kind, tolerance in (("pairs", 0.15), ("facts", 0.03)):  # half the widest gap between two places
            depths = sorted(row["depth"] for row in recall_questions.questions(kind, n_questions=100, seed=7))
            for i, depth in enumerate(depths):
                self.assertAlmostEqual(depth, i / 99, delta=tolerance, msg=kind)

    def test_same_seed_gives_same_questions(self):
        for kind in ("pairs", "facts"):
            first = recall_questions.questions(kind, n_questions=5, seed=8)
            self.assertEqual(first, recall_questions.questions(kind, n_questions=5, seed=8))
            self.assertNotEqual(first, recall_questions.questions(kind, n_questions=5, seed=9))


if __name__ == "__main__":
    unittest.main()
