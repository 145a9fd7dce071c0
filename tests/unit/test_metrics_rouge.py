"""ROUGE-L with words of any script: equal to rouge-score on English, and sound where that is not."""

from __future__ import annotations

import itertools

import pytest
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from playsafe.metrics.rouge_l import UnicodeTokenizer, rouge_l

ENGLISH = [
    "The old captain sails at dawn, and the tide won't wait!",
    "At dawn the captain sails; the old tide waits for no_one.",
    "snake_case, e-mail, 3.14, A1B2 -- (done)",
    "Nothing in common here?",
    "  \tTabs\nand lines  ",
    "...",
    "",
]


@pytest.mark.parametrize(("prediction", "reference"), itertools.product(ENGLISH, ENGLISH))
def test_same_as_rouge_score_on_plain_english(prediction: str, reference: str) -> None:
    theirs = RougeScorer(["rougeL"], use_stemmer=False).score(reference, prediction)["rougeL"].fmeasure
    assert rouge_l(prediction, (reference,)) == theirs
    assert UnicodeTokenizer().tokenize(prediction) == DefaultTokenizer(False).tokenize(prediction)


@pytest.mark.parametrize(
    "text",
    [
        "今夜は月がきれいですね。",
        "海上生明月，天涯共此时。",
        "Мы выйдем в море на рассвете.",
        "नमस्ते दोस्त",
        "สวัสดีครับ",
        "مرحبا يا صديقي",
    ],
)
def test_identical_replies_score_one_in_every_script(text: str) -> None:
    assert rouge_l(text, (text,)) == 1.0
    assert rouge_l(text, ("Something else entirely",)) == 0.0


def test_words() -> None:
    words = UnicodeTokenizer().tokenize
    assert words("नमस्ते दोस्त") == ["नमस्ते", "दोस्त"]
    assert words("天涯 ok") == ["天", "涯", "ok"]
    assert words("Ｆｕｌｌ Élan café") == ["full", "élan", "café"]
    assert words("cafe\u0301") == words("café")


def test_hand_value_and_best_reference() -> None:
    # "a b c d" and "a c x": the longest common subsequence is "a c", so 2/4 and 2/3
    assert rouge_l("a b c d", ("a c x",)) == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert rouge_l("a b c d", ("x y", "a b c d", "a")) == 1.0
