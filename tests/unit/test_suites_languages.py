"""Suites with a language: embedded ones, files of the user's, pairs; what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playsafe.config import StudyConfig, SuiteConfig
from playsafe.data.language import language_of
from playsafe.data.pairs import load_pairs
from playsafe.errors import BadInput
from playsafe.judges import Item, get
from playsafe.probes import expand
from playsafe.rundir import digest
from playsafe.sources import PromptSet, suite
from playsafe.tiny import lexicon as lx
from playsafe.tiny import world
from playsafe.tiny.names import path_of

EVALUATION = StudyConfig().evaluation
HELD_OUT = len({pair.dominant for pair in load_pairs(path_of("tiny", "held-out pairs"), dominant="en")})


def loaded(**given: Any) -> PromptSet:
    return suite(SuiteConfig.model_validate({"name": "mine", **given}), EVALUATION)


def embedded(kind: str) -> dict[str, PromptSet]:
    return {code: loaded(path=f"tiny:{kind}:{code}") for code in lx.LANGUAGES}


def texts(found: PromptSet) -> list[str]:
    return [prompt.messages[-1].content for prompt in found.prompts]


def test_the_suites_without_a_language_are_what_they_were() -> None:
    found = {name: loaded(path=f"tiny:{name}") for name in ("harmful", "benign", "dark")}
    hashes = {
        name: digest([[p.id, [p.messages[-1].content]] for p in one.prompts]) for name, one in found.items()
    }
    assert hashes == {"harmful": "afb43c3c86a41949", "benign": "ff615bcad11c23bd", "dark": "ca4c0c2edaa17a26"}
    assert {one.language for one in found.values()} == {""}


@pytest.mark.parametrize(
    ("kind", "size", "references"),
    [("harmful", 80, 0), ("benign", 80, 0), ("task", 60, 1), ("pairs", HELD_OUT, 2)],
)
def test_embedded_suites_of_every_language(kind: str, size: int, references: int) -> None:
    found = embedded(kind)
    for code, one in found.items():
        assert (one.kind, one.language, len(one.prompts)) == (kind, code, size)
        assert len(set(texts(one))) == size
        assert {len(p.references) for p in one.prompts} == {references}
        assert one == loaded(path=f"tiny:{kind}:{code}")
        replies = [reply for p in one.prompts for reply in p.references if "1" not in reply]
        assert all(language_of(reply) == code for reply in replies[:45])
        assert one.hash != loaded(path=f"tiny:{kind}:{code}", limit=size - 1).hash
    assert len({one.hash for one in found.values()}) == 4
    assert len({tuple(p.category for p in one.prompts) for one in found.values()}) == 1  # the same requests


def test_embedded_requests_are_held_out_and_answers_are_right() -> None:
    for code, one in embedded("harmful").items():
        index = lx.LANGUAGES.index(code)
        seen = {(v[index], o[index]) for v, o in world.harmful_pairs(test=False)}
        asked = {template.format(v=v, o=o) for v, o in seen for template in lx.HOW_TO[code]}
        assert asked.isdisjoint(texts(one))
    english = embedded("task")["en"].prompts
    assert sum(p.category == "sum" for p in english) == 15
    for prompt in english:
        if prompt.category == "sum":
            a, b = (int(word) for word in prompt.messages[-1].content.rstrip("?").split() if word.isdigit())
            assert prompt.references == (f"{a} plus {b} is {a + b}.",)


def test_pairs_are_the_safe_and_the_unsafe_reply() -> None:
    refused = get("rules").open(None)
    for one in embedded("pairs").values():
        items = [
            Item(f"{p.id}{n}", "harmful", "", r) for p in one.prompts for n, r in enumerate(p.references)
        ]
        outcomes = [verdict.outcome for verdict in refused(items)]
        assert set(outcomes[0::2]) == {"refuse"}
        assert set(outcomes[1::2]) == {"comply"}


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def side(group: int, language: str, **more: str) -> dict[str, Any]:
    cells = {"prompt": f"{language}?{group}", "chosen": f"no {group}", "rejected": f"yes {group}"}
    return {"group": group, "language": language, **cells, **more}


def test_a_file_may_declare_its_language(tmp_path: Path) -> None:
    path = written(tmp_path / "s.jsonl", [{"prompt": "Habari ya leo?"}])
    plain = loaded(kind="harmful", path=path)
    declared = loaded(kind="harmful", path=path, language="sw")
    assert (plain.language, declared.language) == ("", "sw")
    assert plain.hash == declared.hash  # no reply rests on it
    [probe] = expand(EVALUATION, [declared])
    assert probe.language == probe.to_json()["language"] == "sw"
    assert "language" not in expand(EVALUATION, [plain])[0].to_json()
    with pytest.raises(BadInput, match=r"'tlh'.*language.*Allowed: ar, bn"):
        loaded(kind="harmful", path=path, language="tlh")


def test_a_task_file_has_right_answers(tmp_path: Path) -> None:
    path = tmp_path / "s.tsv"
    path.write_text("question\tanswer\none and one?\t2\n", encoding="utf-8")
    found = loaded(kind="task", path=str(path), language="en")
    assert [(p.messages[-1].content, p.references) for p in found.prompts] == [("one and one?", ("2",))]
    numbers = written(tmp_path / "n.jsonl", [{"question": "one and one?", "answer": 2}])
    assert loaded(kind="task", path=numbers).prompts[0].references == ("2",)
    bare = written(tmp_path / "b.jsonl", [{"question": "one and one?"}])
    with pytest.raises(BadInput, match=r"right answers.*answer \| references"):
        loaded(kind="task", path=bare)


def test_any_language_of_a_plain_file_of_pairs_can_be_asked(tmp_path: Path) -> None:
    """No group needs a dominant side, and one language alone is a suite."""
    rows = [side(1, "en"), side(1, "sw"), side(2, "sw"), side(2, "de"), side(3, "sw", rejected=" ")]
    path = written(tmp_path / "p.jsonl", rows)
    found = {code: loaded(kind="pairs", path=path, language=code) for code in ("en", "de", "sw")}
    assert {code: texts(one) for code, one in found.items()} == {
        "en": ["en?1"],
        "de": ["de?2"],
        "sw": ["sw?1", "sw?2"],
    }
    assert found["sw"].prompts[1].references == ("no 2", "yes 2")
    assert (found["sw"].kind, found["sw"].language) == ("pairs", "sw")
    assert "2 of 3 pairs in sw, 1 without text left out" in found["sw"].source
    assert texts(loaded(kind="pairs", path=path, language="sw", limit=1)) == ["sw?1"]


def mpo(number: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    words = {
        "source": "How do I find the old mill behind the river",
        "target": "Wie finde ich die alte Mühle am Fluss",
    }
    for name, text in words.items():
        row[f"{name}_conversations"] = [{"from": "human", "value": f"{text} {number}?"}]
        row[f"{name}_chosen"] = {"from": "gpt", "value": f"{name} no {number}"}
        row[f"{name}_rejected"] = {"from": "gpt", "value": f"{name} yes {number}"}
    return row


def test_both_sides_of_mpos_format_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps([mpo(1), mpo(2)]), encoding="utf-8")
    for code, name in (("en", "source"), ("de", "target")):
        found = loaded(kind="pairs", path=str(path), language=code)
        assert [p.references for p in found.prompts] == [
            (f"{name} no {n}", f"{name} yes {n}") for n in (1, 2)
        ]
    path.write_text(json.dumps([{"source_conversations": "text"}]), encoding="utf-8")
    with pytest.raises(BadInput, match=r"m.json:row 1: source_conversations is not one user turn"):
        loaded(kind="pairs", path=str(path), language="en")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "pairs need a language"),
        ({"language": "xx"}, "'xx' is no language"),
        ({"language": "fr"}, r"no pairs in 'fr'.*Allowed: en, sw"),
    ],
)
def test_pairs_that_cannot_be_asked(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    path = written(tmp_path / "p.jsonl", [side(1, "en"), side(1, "sw")])
    with pytest.raises(BadInput, match=message):
        loaded(kind="pairs", path=path, **given)


def test_pairs_with_a_broken_row_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [side(1, "en"), {"language": "en", "prompt": "a", "chosen": "b"}])
    with pytest.raises(BadInput, match=r"p.jsonl:2.*rejected is null"):
        loaded(kind="pairs", path=path, language="en")


def test_the_published_pairs_are_read(shared: Path) -> None:
    path = shared / "data/mpo_train/data/qwen_mpo_data.json"
    found = {code: loaded(kind="pairs", path=str(path), language=code) for code in ("en", "sw", "bn")}
    assert {code: len(one.prompts) for code, one in found.items()} == {"en": 107, "sw": 98, "bn": 98}


@pytest.mark.parametrize("kind", ["task", "pairs"])
def test_no_attack_is_put_on_a_suite_whose_references_answer_it(kind: str) -> None:
    given = {
        "suites": [{"name": "x", "path": f"tiny:{kind}:de"}],
        "attacks": [{"name": "caesar", "suites": ["x"]}],
    }
    config = StudyConfig.model_validate({"evaluation": given}).evaluation
    with pytest.raises(BadInput, match=f"x is a {kind} suite"):
        expand(config, [suite(one, config) for one in config.suites])
