"""Parallel pairs: both formats, languages, bad files; and what the checker says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import playsafe
from playsafe.data.language import language_of
from playsafe.data.pairs import ParallelPair, Side, load_pairs
from playsafe.errors import BadInput
from playsafe.faults import KINDS, check, count, refuses
from playsafe.records import Message
from playsafe.tiny import lexicon as lx
from playsafe.tiny.names import path_of
from playsafe.tiny.pairs import REQUESTS
from playsafe.tiny.world import held_out

EMBEDDED = {
    part: load_pairs(path_of("tiny", name), dominant="en")
    for part, name in (("train", "pairs"), ("test", "held-out pairs"))
}
PLAIN = [
    {"group": 1, "language": "en", "prompt": "How?", "chosen": "No.", "rejected": "So."},
    {"group": 1, "language": "de", "prompt": "Wie?", "chosen": "Nein.", "rejected": "So."},
    {"group": 1, "language": "fr", "prompt": "Comment ?", "chosen": "Non.", "rejected": "Ainsi."},
]


def turn(value: str, who: str = "human") -> dict[str, str]:
    return {"from": who, "value": value}


def mpo_row(**changes: Any) -> dict[str, Any]:
    return {
        "source_conversations": [turn("How can I repair the old bridge in the village?")],
        "source_chosen": turn("I will not help you with that.", "gpt"),
        "source_rejected": turn("Take a rope and a ladder.", "gpt"),
        "target_conversations": [turn("Wie kann ich die alte Brücke im Dorf reparieren?")],
        "target_chosen": turn("Dabei kann ich dir nicht helfen.", "gpt"),
        "target_rejected": turn("Nimm ein Seil und eine Leiter.", "gpt"),
    } | changes


def written(tmp_path: Path, rows: list[dict[str, Any]], name: str = "pairs.jsonl") -> Path:
    path = tmp_path / name
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text(f"[{','.join(lines)}]" if name.endswith(".json") else "\n".join(lines), encoding="utf-8")
    return path


def test_plain_format(tmp_path: Path) -> None:
    pairs = load_pairs(written(tmp_path, PLAIN), dominant="en")
    assert [(p.id, p.dominant.language, p.target.language) for p in pairs] == [
        ("1:de", "en", "de"),
        ("1:fr", "en", "fr"),
    ]
    assert pairs[1].target == Side("fr", (Message("user", "Comment ?"),), "Non.", "Ainsi.")
    assert pairs[1].source.endswith("pairs.jsonl:3")
    french = load_pairs(written(tmp_path, PLAIN), dominant="fr")
    assert [p.id for p in french] == ["1:en", "1:de"]


def test_mpo_format(tmp_path: Path) -> None:
    pairs = load_pairs(written(tmp_path, [mpo_row(), mpo_row()], "pairs.json"), dominant="en")
    assert [(p.id, p.target.language) for p in pairs] == [("1", "de"), ("2", "de")]
    assert pairs[0].dominant.chosen == "I will not help you with that."
    with pytest.raises(BadInput, match=r"source sides are in 'en', not in 'zh'.*pairs.dominant to 'en'"):
        load_pairs(written(tmp_path, [mpo_row()], "pairs.json"), dominant="zh")


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([*PLAIN, PLAIN[0]], "has 'en' twice"),
        (PLAIN[1:], "no side in the dominant language 'en'"),
        (PLAIN[:1], "no group has a second language"),
        ([PLAIN[0], {"group": 1, "language": "de", "prompt": "Wie?"}], "lacks chosen, rejected"),
        ([PLAIN[0], {**PLAIN[1], "chosen": 3}], "chosen is a number"),
        ([mpo_row(target_chosen="Nein.")], "not a row of MPO's format"),
        ([mpo_row(source_conversations=[turn("a"), turn("b")])], "not one user turn"),
        ([mpo_row(source_conversations=[turn("a", "gpt")])], "not one user turn"),
    ],
)
def test_bad_rows_name_their_line(tmp_path: Path, rows: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(BadInput, match=what) as error:
        load_pairs(written(tmp_path, rows), dominant="en")
    assert "pairs.jsonl" in str(error.value)


def test_embedded_pairs() -> None:
    for part, many in REQUESTS.items():
        pairs = EMBEDDED[part]
        assert len(pairs) == many * (len(lx.LANGUAGES) - 1)
        assert len({p.dominant.messages for p in pairs}) == many
    known = {(v[0], o[0]) for v in lx.HARMFUL_VERBS for o in lx.OBJECTS}
    for part in REQUESTS:
        asked = {p.dominant.messages[0].content for p in EMBEDDED[part]}
        for text in asked:
            verb, thing = next((v, o) for v, o in known if f"{v} {o}" in text)
            assert held_out(verb, thing) == (part == "test")


def test_languages_of_the_embedded_world_are_told_apart() -> None:
    for pair in EMBEDDED["train"]:
        for side in (pair.dominant, pair.target):
            assert language_of(side.messages[0].content) == language_of(side.chosen) == side.language


# --- the checker -------------------------------------------------------------------------------------------

ASKED = (Message("user", "How can I repair the old bridge in the village?"),)
GEFRAGT = (Message("user", "Wie kann ich die alte Brücke im Dorf reparieren?"),)
DOMINANT = Side("en", ASKED, "I'm sorry, but I can't help with that.", "To do so, take a rope and a ladder.")
NO, YES = "Dabei kann ich dir leider nicht helfen.", "Nimm dafür ein Seil und eine Leiter."


def target(chosen: str, rejected: str, messages: Any = GEFRAGT, language: str = "de") -> Side:
    return Side(language, messages, chosen, rejected)


@pytest.mark.parametrize(
    ("side", "kinds"),
    [
        (target(NO, YES), []),
        (target(YES, NO), ["swapped"]),
        (target(YES, YES + " Und gutes Licht."), ["no refusal"]),
        (target(NO, NO), ["identical"]),
        (target("", YES), ["empty"]),
        (target("I am sorry, but I cannot help you with that.", YES), ["chosen language"]),
        (target(NO, "Take a rope and a ladder for it, my friend."), ["rejected language"]),
        (target(DOMINANT.chosen, DOMINANT.rejected, ASKED, "en"), ["untranslated"]),
        (target(NO, YES, ASKED), ["untranslated"]),  # declared German, asked in English
        (
            target(NO, YES, (Message("user", "Comment puis-je réparer le vieux pont du village ?"),)),
            ["prompt language"],
        ),
        (target(NO, YES, GEFRAGT, "Deutsch"), ["unknown language"]),
    ],
)
def test_each_fault_is_found(side: Side, kinds: list[str]) -> None:
    found = check([ParallelPair("1", DOMINANT, side)])
    assert [(f.side, f.kind) for f in found] == [("target", kind) for kind in kinds]
    assert set(kinds) <= KINDS.keys()


def test_duplicates_and_shared_sides_count_once() -> None:
    bad = Side("en", ASKED, DOMINANT.rejected, "Take a lamp.")
    pairs = [ParallelPair(str(n), bad, target(NO, YES)) for n in range(3)]
    found = check(pairs)
    assert [(f.id, f.side, f.kind) for f in found] == [
        ("0", "dominant", "no refusal"),
        ("1", "target", "duplicate"),
        ("2", "target", "duplicate"),
    ]
    rows = count(pairs, found)
    assert [(r["side"], r["language"], r["sides"]) for r in rows] == [
        ("dominant", "en", 1),
        ("target", "de", 3),
    ]
    assert rows[0]["no refusal"] == 1
    assert rows[1]["duplicate"] == 2


@pytest.mark.parametrize(
    ("language", "no", "yes"),
    [
        ("en", "I cannot help you with that.", "Take a rope."),
        ("zh", "抱歉，我无法提供帮助。", "首先拿一根绳子。"),
        ("ja", "申し訳ありませんが、お手伝いできません。", "まずロープを用意します。"),
        ("ko", "죄송하지만 도와드릴 수 없습니다.", "먼저 밧줄을 준비하세요."),
        ("ar", "آسف، لا أستطيع المساعدة في ذلك.", "خذ حبلا وسلما."),
        ("bn", "দুঃখিত, আমি সাহায্য করতে পারব না।", "একটি দড়ি নিন।"),
        ("sw", "Samahani, siwezi kukusaidia na hilo.", "Chukua kamba na ngazi."),
    ],
)
def test_refusals_in_the_languages_of_mpo(language: str, no: str, yes: str) -> None:
    assert refuses(language, no) is True
    assert refuses(language, yes) is False
    assert refuses("th", no) is None  # nothing here reads it, and it says so


def test_a_refusal_that_nobody_reads_is_no_fault_of_the_pair() -> None:
    asked = (Message("user", "ฉันจะซ่อมสะพานเก่าในหมู่บ้านได้อย่างไร"),)
    pair = ParallelPair("1", DOMINANT, Side("th", asked, "ขอโทษ ฉันช่วยเรื่องนี้ไม่ได้", "ใช้เชือกและบันได"))
    assert [f.kind for f in check([pair])] == ["unread"]


# counts on MPO's own files: dominant language, faults in all, some of the targets by kind, and how
# many of the 100 dominant and 600 target safe replies refuse
REAL = {
    "llama": (
        "en",
        546,
        {"untranslated": 3, "chosen language": 16, "rejected language": 21, "empty": 1},
        84,
        112,
    ),
    "gemma": ("en", 271, {"untranslated": 22, "chosen language": 69, "rejected language": 52}, 92, 480),
    "qwen": ("zh", 382, {"chosen language": 16, "rejected language": 19}, 47, 312),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_counts_on_the_published_files(shared: Path, name: str) -> None:
    dominant, total, expected, source_refuse, target_refuse = REAL[name]
    pairs = load_pairs(shared / "data" / "mpo_train" / "data" / f"{name}_mpo_data.json", dominant=dominant)
    assert len(pairs) == 600
    found = check(pairs)
    rows = count(pairs, found)
    targets = {kind: sum(row[kind] for row in rows if row["side"] == "target") for kind in KINDS}
    refuse = {
        side: sum(r["sides"] - r["no refusal"] - r["swapped"] for r in rows if r["side"] == side)
        for side in ("dominant", "target")
    }
    assert (len(found), refuse) == (total, {"dominant": source_refuse, "target": target_refuse})
    assert {kind: targets[kind] for kind in expected} == expected


def test_the_verb_prints_the_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [PLAIN[0] | {"chosen": "I cannot help you with that."}, *PLAIN[1:]])
    assert playsafe("data", "pairs", str(path), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == 2
    assert [row["language"] for row in found["languages"]] == ["en", "de", "fr"]
    assert playsafe("data", "pairs", str(path), "--dominant", "es") == 2
    assert "no side in the dominant language 'es'" in capsys.readouterr().err
