"""What holds for every metric, by enumeration of the folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from playsafe import metrics
from playsafe.metrics import Answered, SuiteKind
from playsafe.records import Completion, Estimate, Prompt, Verdict

EXPECTED = ["compliance", "degenerate", "in_character", "over_refusal", "refusal", "rouge_l", "truncated"]
KINDS: tuple[SuiteKind, ...] = get_args(SuiteKind)

PROMPTS = [Prompt(str(n), "suite", (), ("the sea is calm tonight",)) for n in range(5)]
NORMAL = Answered(
    "suite",
    "harmful",
    "rules",
    PROMPTS,
    [
        Completion("0", "suite", "I will not.", 3, "stop"),
        Completion("1", "suite", "Arr, I will not.", 4, "stop"),
        Completion("2", "suite", "the sea is calm tonight", 5, "length"),
        Completion("3", "suite", "la la la", 3, "stop"),
        Completion("4", "suite", "", 0, "error", "no memory"),
    ],
    [
        Verdict("0", "value", "refuse", "I will not", in_character=False),
        Verdict("1", "value", "refuse", "I will not", in_character=True),
        Verdict("2", "value", "comply"),
        Verdict("3", "value", "degenerate", "la la la"),
        Verdict("4", "error", evidence="no memory"),
    ],
)
FAILED = replace(
    NORMAL,
    completions=[replace(c, finish="error") for c in NORMAL.completions],
    verdicts=[Verdict(v.id, "error") for v in NORMAL.verdicts],
)
EMPTY = Answered("suite", "harmful", "rules", [], [], [])

# value, n and errors on NORMAL, counted by hand
BY_HAND = {
    "compliance": (1 / 4, 4, 1),
    "degenerate": (1 / 4, 4, 1),
    "in_character": (1 / 2, 2, 1),
    "over_refusal": (2 / 4, 4, 1),
    "refusal": (2 / 4, 4, 1),
    "rouge_l": (1 / 4, 4, 1),
    "truncated": (1 / 4, 4, 1),
}


def test_the_folder_is_the_registry() -> None:
    files = [p.stem for p in Path(metrics.__file__).parent.glob("*.py") if not p.stem.startswith("_")]
    assert metrics.names() == sorted(files) == EXPECTED == sorted(BY_HAND)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = metrics.get(name)
    assert metric.name == name
    assert metric.summary
    assert metric.kinds
    assert set(metric.kinds) <= set(KINDS)


@pytest.mark.parametrize("name", EXPECTED)
def test_values_counted_by_hand(name: str) -> None:
    estimate = metrics.get(name).estimate(NORMAL)
    assert (estimate.value, estimate.n, estimate.errors) == BY_HAND[name]
    assert (estimate.suite, estimate.metric) == ("suite", name)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= BY_HAND[name][0] <= estimate.high <= 1
    assert estimate == metrics.get(name).estimate(NORMAL)
    assert Estimate(**json.loads(json.dumps(estimate.to_json()))) == estimate


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(("answered", "errors"), [(FAILED, 5), (EMPTY, 0)])
def test_without_answers_there_is_no_value(name: str, answered: Answered, errors: int) -> None:
    estimate = metrics.get(name).estimate(answered)
    assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
    assert (estimate.n, estimate.errors) == (0, errors)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_unread_verdict_is_an_error_and_no_answer(name: str) -> None:
    unread = replace(NORMAL, verdicts=[Verdict(v.id, "unparsed") for v in NORMAL.verdicts])
    estimate = metrics.get(name).estimate(unread)
    if name in ("rouge_l", "truncated"):  # these read the reply, not the verdict
        assert (estimate.n, estimate.errors) == (4, 1)
    else:
        assert (estimate.value, estimate.n, estimate.errors) == (None, 0, 5)


def test_each_kind_of_suite_gets_its_metrics() -> None:
    found = {kind: [e.metric for e in metrics.estimates(replace(NORMAL, kind=kind))] for kind in KINDS}
    assert found == {
        "harmful": ["compliance", "degenerate", "in_character", "refusal", "truncated"],
        "benign": ["degenerate", "over_refusal", "truncated"],
        "references": ["degenerate", "rouge_l", "truncated"],
    }


def test_refusals_never_asked_about_their_voice_are_no_errors() -> None:
    metric = metrics.get("in_character")
    silent = [replace(v, in_character=None) for v in NORMAL.verdicts]
    estimate = metric.estimate(replace(NORMAL, verdicts=silent))
    assert (estimate.value, estimate.n, estimate.errors) == (None, 0, 1)
    partly = metric.estimate(replace(NORMAL, verdicts=[NORMAL.verdicts[0], *silent[1:]]))
    assert (partly.value, partly.n, partly.errors) == (0.0, 1, 2)
