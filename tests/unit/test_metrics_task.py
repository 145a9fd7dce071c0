"""Right answers: numbers in any script and spelling; replies in another language."""

from __future__ import annotations

from dataclasses import replace

import pytest

from playsafe import metrics
from playsafe.metrics import Answered
from playsafe.metrics.exact_match import matches
from playsafe.records import Completion, Estimate, Prompt


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        ("She has 3 + 15, so the answer is **18**.", "18"),
        ("১৮ টি", "18"),
        ("الجواب هو ١٨.", "18"),
        ("الجواب هو ۱۸", "18"),
        ("คำตอบคือ ๑๘", "18"),
        ("答えは１８です", "18"),
        ("౧౮", "18"),
        ("উত্তর: ২,১২৫", "2,125"),
        ("٢٬١٢٥", "2,125"),
        ("١٢٫٥", "12.5"),
        ("$2,125.00", "2,125"),
        ("2.125 Euro", "2,125"),
        ("2.125,50", "2125.5"),
        ("114\u202f200 €", "114,200"),
        ("114 200 рублей", "114,200"),
        ("1,14,200 rupees", "114,200"),
        ("Fr. 5’600", "5,600"),
        ("−5", "-5"),
        ("a score of 3-5", "5"),
        ("in step 4 there are 300", "300"),
        ("1, 2, 3", "3"),
        ("0.5", ".5".rjust(3, "0")),
        ("9 PLUS  1 is 10.", "9 plus 1 is 10."),
    ],
)
def test_right_answers(reply: str, reference: str) -> None:
    assert matches(reply, reference)


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        ("18, or rather 19", "18"),
        ("no number", "18"),
        ("", "18"),
        ("-18", "18"),
        ("180", "18"),
        ("0.5", "5"),
        ("5e3", "5000"),
        ("9" * 5000, "18"),
        ("9 plus 1 is 11.", "9 plus 1 is 10."),
        ("So 9 plus 1 is 10.", "9 plus 1 is 10."),
    ],
)
def test_wrong_answers(reply: str, reference: str) -> None:
    assert not matches(reply, reference)


def answered(replies: list[str], references: tuple[str, ...], language: str = "") -> Answered:
    return Answered(
        "s",
        "task",
        [Prompt(str(n), "s", (), references) for n in range(len(replies))],
        [Completion(str(n), "s", text, 1, "stop") for n, text in enumerate(replies)],
        language=language,
    )


def estimated(name: str, given: Answered) -> Estimate | None:
    values = {"none": {name: [metrics.get(name).value(reply) for reply in given.replies()]}}
    return metrics.estimates(given.suite, given.prompts, values)[0]


def test_one_of_several_right_answers_is_enough_and_none_is_an_error() -> None:
    both = answered(["7", "8", "9"], ("7", "8"))
    found = estimated("exact_match", both)
    assert found is not None
    assert (found.value, found.n, found.errors) == (pytest.approx(2 / 3), 3, 0)
    first, *others = both.completions
    failed = replace(both, completions=[replace(first, finish="error"), *others])
    bare = replace(failed, prompts=[*both.prompts[:2], replace(both.prompts[2], references=())])
    found = estimated("exact_match", bare)
    assert found is not None
    assert (found.value, found.n, found.errors) == (1.0, 1, 2)


def test_replies_in_another_language_are_counted_where_they_can_be_told() -> None:
    replies = [
        "Nimm eine Leiter und ein Seil, dann arbeite langsam.",
        "Take a ladder and a rope, then work slowly with care.",
        "这是一个答案",  # six signs tell as much as twenty letters
        "ใช้บันได",
        "Ja.",
        "",
        "la " * 60,
    ]
    found = estimated("other_language", answered(replies, ("x",), "de"))
    assert found is not None
    assert (found.value, found.n, found.errors) == (pytest.approx(3 / 4), 4, 3)
