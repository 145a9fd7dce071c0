"""Attacks on the user's files: templates and demonstrations; prefill and persona."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playsafe import attacks
from playsafe.attacks.template import PLACEHOLDERS
from playsafe.config import AttackConfig
from playsafe.errors import BadInput
from playsafe.records import Message, Prompt
from playsafe.tiny import demo, world
from playsafe.tiny.names import FILES


def parsed(name: str, /, **raw: Any) -> Any:
    return AttackConfig(name=name, options=raw).parsed()


def apply(name: str, texts: list[str], /, **raw: Any) -> attacks.Attacked:
    asked = [Prompt(f"s:{n}", "s", (Message("user", text),)) for n, text in enumerate(texts, 1)]
    return attacks.get(name).apply(asked, parsed(name, **raw))


def contents(attacked: attacks.Attacked) -> list[str]:
    return [p.messages[-1].content for p in attacked.prompts]


def write(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_templates_in_every_file_and_placeholder(tmp_path: Path) -> None:
    text = "Say {0} %s {{x}}\nnow: {}."
    words = ("INSERT PROMPT HERE", "REPLACE", "PROMPT", "QUERY", "GOAL")
    kinds = [f"[{word}]" for word in words]
    kinds += [f"{a}{word}{b}" for a, b in ("{}", ("{{", "}}")) for word in ("prompt", "query", "goal")]
    assert sorted(kinds) == sorted(PLACEHOLDERS)
    for kind in kinds:
        path = write(tmp_path, "one.txt", f"Before {kind} and {kind.lower()} after\n")
        attacked = apply("template", [text], path=path)
        assert contents(attacked) == [f"Before {text} and {text} after"]
        assert [p.id for p in attacked.prompts] == ["s:1"]
    rows = ["A {goal}", "B {goal}", "C {goal}"]
    files = [
        write(tmp_path, "t.json", rows),
        write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows))),
        write(tmp_path, "rows.json", [{"template": row, "x": 1} for row in rows]),
        write(tmp_path, "rows.jsonl", "\n".join(json.dumps({"x": "", "text": row}) for row in rows)),
        write(tmp_path, "t.csv", "n,Template\n" + "".join(f"{n},{row}\n" for n, row in enumerate(rows))),
    ]
    for path in files:
        attacked = apply("template", ["p", "q"], path=path)
        assert contents(attacked) == ["A p", "B p", "C p", "A q", "B q", "C q"]
        assert [p.id for p in attacked.prompts] == [f"s:{p}/{t}" for p in (1, 2) for t in (1, 2, 3)]
        assert contents(apply("template", ["p"], path=path, limit=2)) == ["A p", "B p"]
    named = write(tmp_path, "named.csv", "mine,text\nZ {goal},x\n")
    assert contents(apply("template", ["p"], path=named, column="mine")) == ["Z p"]


def test_one_template_per_prompt_is_chosen_by_id_and_seed(tmp_path: Path) -> None:
    path = write(tmp_path, "t.json", ["A {goal}", "B {goal}", "C {goal}"])
    texts = [str(n) for n in range(300)]
    one, same, other = (apply("template", texts, path=path, choice="one", seed=s) for s in (1, 1, 2))
    assert one == same != other
    assert [p.id for p in one.prompts] == [f"s:{n}" for n in range(1, 301)]
    letters = [content[0] for content in contents(one)]
    assert all(70 < letters.count(letter) < 130 for letter in "ABC")


@pytest.mark.parametrize(
    ("name", "content", "raw", "message"),
    [
        ("t.txt", "No place here", {}, "t.txt:1: the template has no placeholder. Allowed: [INSERT"),
        ("t.txt", "One {goal}\ntwo\nthree {prompt}", {}, "t.txt:3: the template mixes {goal} and {prompt}"),
        ("t.txt", "\n", {}, "t.txt:1: the text is empty"),
        ("t.txt", "{goal}", {"column": "x"}, "column 'x' has no effect"),
        ("t.json", ["{goal}", "none"], {}, "t.json:row 2: the template has no placeholder"),
        ("t.json", ["{goal}", 3], {}, "t.json:row 2: the text is a number"),
        ("t.json", [], {}, "t.json: the file has no rows"),
        ("t.json", {"a": 1}, {}, "t.json: the object holds no rows: 'a' (a number)"),
        ("t.json", "[\n1,,]", {}, "t.json:2: broken JSON"),
        ("t.jsonl", '\n"{goal}"\n"none"', {}, "t.jsonl:3: the template has no placeholder"),
        ("t.jsonl", '{"text": "{goal}"}\n{"text": null}', {}, "t.jsonl:2: text is null"),
        ("t.csv", "n,text\n1,{goal}\n2,none", {}, "t.csv:3: the template has no placeholder"),
        ("t.csv", "n,text\n1,{goal}\n", {"column": "txt"}, "there is no column 'txt'. Allowed: n, text. Did"),
        ("t.csv", "a,b\n1,{goal}\n", {}, "no column is known to hold the text: 'a', 'b'"),
        ("t.xml", "<a/>", {}, "unknown file type '.xml'"),
    ],
)
def test_template_errors_name_the_place(
    tmp_path: Path, name: str, content: Any, raw: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(BadInput) as error:
        apply("template", ["p"], path=path, **raw)
    assert message in str(error.value)
    assert path in str(error.value)


def test_demonstrations_stand_before_the_request(tmp_path: Path) -> None:
    rows = [{"query": f"q{n}", "unsafe_response": f"r{n}"} for n in range(4)]
    path = write(tmp_path, "demo.json", rows)
    asked = Prompt("s:1", "s", (Message("system", "Be brief."), Message("user", "Now this")))
    (attacked,) = attacks.get("in_context").apply([asked], parsed("in_context", path=path, count=2)).prompts
    assert [(m.role, m.content) for m in attacked.messages] == [
        *(("system", "Be brief."), ("user", "q0"), ("assistant", "r0"), ("user", "q1"), ("assistant", "r1")),
        ("user", "Now this"),
    ]
    assert attacked.plain == "Now this"
    drawn = {
        tuple(m.content for m in apply("in_context", ["x"], path=path, count=2, seed=s).prompts[0].messages)
        for s in range(20)
    }
    assert len(drawn) > 4
    with pytest.raises(BadInput, match="count is 5, but there are 4 demonstrations"):
        apply("in_context", ["x"], path=path)
    for row, message in (
        ({"prompt": "a", "response": " "}, "response is empty"),
        ({"prompt": None, "response": "b"}, "prompt is null"),
    ):
        broken = write(
            tmp_path, "broken.jsonl", json.dumps({"prompt": "a", "response": "b"}) + "\n" + json.dumps(row)
        )
        with pytest.raises(BadInput, match=rf"broken.jsonl:2: {message}"):
            apply("in_context", ["x"], path=broken, count=2)
    only = write(tmp_path, "only.json", [{"query": "a", "refusal_response": "b"}])
    with pytest.raises(BadInput, match="no column is known to hold the reply"):
        apply("in_context", ["x"], path=only, count=1)


def test_embedded_demonstrations_comply_and_are_never_asked() -> None:
    asked = {row["prompt"] for row in demo.harmful_suite()}
    (one,) = apply("in_context", ["x"], path="tiny:demonstrations", count=60).prompts
    assert len(one.messages) == 121
    requests = [m.content for m in one.messages if m.role == "user"][:-1]
    assert len(set(requests)) == 60
    assert not asked & set(requests)
    trained = {f"{v[0]} {o[0]}" for v, o in world.harmful_pairs(test=False)}
    replies = [m.content for m in one.messages if m.role == "assistant"]
    for request, reply in zip(requests, replies, strict=True):
        assert any(pair in request and pair in reply for pair in trained)
    (again, other) = (
        apply("in_context", ["x"], path="tiny:demonstrations", count=60, seed=s).prompts[0] for s in (None, 1)
    )
    assert again == one != other
    identity = attacks.get("in_context").identity(parsed("in_context", path="tiny:demonstrations"))
    assert str(FILES) not in json.dumps(identity)  # the same wherever the package lies
    with pytest.raises(BadInput, match=f"there are {len(world.harmful_pairs(test=False))} demonstrations"):
        apply("in_context", ["x"], path="tiny:demonstrations", count=999)


def test_prefill_and_persona() -> None:
    attacked = apply("prefill", ["Ask"], text="Gladly: ").prompts[0]
    assert (attacked.prefill, attacked.plain, attacked.messages) == (
        "Gladly: ",
        "Ask",
        (Message("user", "Ask"),),
    )
    assert apply("prefill", ["Ask"]).prompts[0].prefill == "Sure, here is"
    (text,) = contents(apply("persona", ["Ask {name}"], name="Ida", description="a gardener"))
    assert "you are Ida, a gardener." in text
    assert text.endswith("\n\nAsk {name}")
    for name, raw in (
        ("prefill", {"text": " "}),
        ("persona", {"name": ""}),
        ("persona", {"description": "\n"}),
    ):
        with pytest.raises(BadInput, match=next(iter(raw))):
            parsed(name, **raw)


def test_real_templates_and_demonstrations(shared: Path) -> None:
    data = shared / "data"
    initial = str(data / "autodan" / "data" / "AutoDAN" / "autodan_initial_prompt.txt")
    (text,) = contents(apply("template", ["THE REQUEST"], path=initial))
    assert text.count("THE REQUEST") == 2
    final = str(data / "autodan" / "autodan_vicuna-7b.jsonl")
    assert len(apply("template", ["THE REQUEST"], path=final).prompts) == 50
    for file in ("demo.json", "data_zh.json"):
        path = str(data / "ica" / "aisafetylab" / "attack" / "attackers" / "data" / "icl" / file)
        (attacked,) = apply("in_context", ["THE REQUEST"], path=path, count=12).prompts
        assert len(attacked.messages) == 25
