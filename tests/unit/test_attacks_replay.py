"""Replay of recorded attacks: matching, the shapes of attack results, and the real ones where at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playsafe import attacks
from playsafe.config import AttackConfig
from playsafe.data.suites import load_suite
from playsafe.errors import BadInput
from playsafe.records import Message, Prompt


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


def test_replay_matches_by_text(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "r.json",
        {
            "parameters": {"method": "x"},
            "jailbreaks": [
                {"goal": "Do  the thing.", "prompt": "P1", "behavior": "Thing"},
                {"goal": "Do nothing", "prompt": None},
                {"goal": "never asked", "prompt": "P3"},
            ],
        },
    )
    attacked = apply("replay", ["do the\nTHING", "Do nothing", "Something else"], path=path)
    assert [(p.id, p.messages[-1].content, p.request) for p in attacked.prompts] == [
        ("s:1", "P1", "do the\nTHING")
    ]
    assert attacked.skipped == ("s:2", "s:3")
    with pytest.raises(BadInput, match=r"of the suite's 2 prompts 0 are among the file's 3 goals"):
        apply("replay", ["a", "b"], path=path)
    with pytest.raises(BadInput, match=r"of the suite's 1 prompts 1 are among the file's 3 goals"):
        apply("replay", ["do nothing."], path=path)


def test_replay_reads_the_shapes_of_attack_results(tmp_path: Path) -> None:
    files = {
        "autodan.json": {"goal": ["a", "b"], "target": ["x", "y"], "jailbreak_prompt": ["A", "B"]},
        "safetylab.jsonl": "\n".join(
            json.dumps({"query": q, "final_query": q.upper(), "prompt": 1}) for q in "ab"
        ),
        "table.csv": "Goal,prompt\na,A\nb,B\nc,\nd, \n",
        "inception.json": [
            {"plain_attack": "a", "inception_attack": "A"},
            {"plain_attack": "b", "inception_attack": "B"},
        ],
    }
    for name, content in files.items():
        assert contents(apply("replay", ["b", "a"], path=write(tmp_path, name, content))) == ["B", "A"], name
    suffixes = write(
        tmp_path, "gcg.json", {"controls": ["! !", "??"], "goal": ["a", "b"], "target": ["x", "y"]}
    )
    assert contents(apply("replay", ["B."], path=suffixes)) == ["b ??"]
    assert apply("replay", ["a", "c", "d"], path=str(tmp_path / "table.csv")).skipped == ("s:2", "s:3")
    behind = write(tmp_path, "behind.csv", "prompt,suffix\na,!!\n")
    assert contents(apply("replay", ["a"], path=behind, goal="prompt")) == ["a !!"]
    named = write(tmp_path, "named.csv", "goal,prompt,old,new\na,0,1,2\n")
    assert contents(apply("replay", ["a", "1"], path=named, prompt="new")) == ["2"]
    assert contents(apply("replay", ["a", "1"], path=named, goal="old", prompt="new")) == ["2"]
    several = write(tmp_path, "several.csv", "goal,prompt\na,1\nA.,2\na,1\nb,3\n")
    attacked = apply("replay", ["a", "b"], path=several)
    assert [(p.id, p.messages[-1].content) for p in attacked.prompts] == [
        *(("s:1/1", "1"), ("s:1/2", "2"), ("s:2/1", "3")),
    ]
    assert [p.id for p in apply("replay", ["b"], path=several).prompts] == ["s:1/1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.json", {"goal": ["a"], "prompt": ["A", "B"]}, r"r.json: the columns differ in length"),
        ("r.json", {"jailbreaks": []}, r"r.json: the file has no rows"),
        ("r.json", {"jailbreaks": [{"goal": "a", "prompt": 3}]}, r"r.json:jailbreaks 1: prompt is a number"),
        ("r.json", {"jailbreaks": [{"goal": "", "prompt": "x"}]}, r"r.json:jailbreaks 1: goal is empty"),
        ("r.jsonl", '{"goal": "a", "prompt": "A"}\n{"prompt": "B"}', r"r.jsonl:2: goal is null"),
        ("r.csv", "goal,reply\na,b\n", r"r.csv: no column is known to hold the prompt: 'goal', 'reply'"),
        ("r.csv", "prompt,x\na,b\n", r"r.csv: no column is known to hold the goal"),
    ],
)
def test_replay_errors_name_the_place(tmp_path: Path, name: str, content: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        apply("replay", ["a"], path=write(tmp_path, name, content))


# (file, how many of JailbreakBench's 100 goals it has a prompt for); five goals were worded otherwise when
# most of the attacks were recorded, and PAIR recorded no prompt where it gave up
ARTIFACTS = [
    ("DSN/white_box/llama-2-7b-chat-hf", 100),
    ("DSN/white_box/vicuna-13b-v1.5", 100),
    ("GCG/transfer/gpt-3.5-turbo-1106", 95),
    ("GCG/transfer/gpt-4-0125-preview", 95),
    ("GCG/white_box/llama-2-7b-chat-hf", 95),
    ("GCG/white_box/vicuna-13b-v1.5", 95),
    ("JBC/manual/gpt-3.5-turbo-1106", 99),
    ("JBC/manual/gpt-4-0125-preview", 99),
    ("JBC/manual/llama-2-7b-chat-hf", 99),
    ("JBC/manual/vicuna-13b-v1.5", 99),
    ("PAIR/black_box/gpt-3.5-turbo-1106", 83),
    ("PAIR/black_box/gpt-4-0125-preview", 62),
    ("PAIR/black_box/llama-2-7b-chat-hf", 4),
    ("PAIR/black_box/vicuna-13b-v1.5", 79),
    ("prompt_with_random_search/black_box/gpt-3.5-turbo-1106", 95),
    ("prompt_with_random_search/black_box/gpt-4-0125-preview", 95),
    ("prompt_with_random_search/black_box/llama-2-7b-chat-hf", 95),
    ("prompt_with_random_search/black_box/vicuna-13b-v1.5", 95),
]
ON_ADVBENCH = [
    ("autodan/data/AutoDAN/vicuna.json", 50),
    ("autodan/data/GCG/vicuna.json", 50),
    ("adaptive_attacks/jailbreak_artifacts/exps_llama3-8b.json", 50),
    ("adaptive_attacks/jailbreak_artifacts/exps_gemma-7b.json", 50),
    ("deepinception/data_main.json", 50),
]


def test_real_artifacts_are_matched(shared: Path) -> None:
    data = shared / "data"
    folder = data / "jailbreakbench" / "attack-artifacts"
    recorded = {str(p.relative_to(folder).with_suffix("")) for p in folder.glob("*/*/*.json")}
    assert {name for name in recorded if not name.startswith("test-artifact")} == {n for n, _ in ARTIFACTS}
    for suite_file, files in (
        ("jailbreakbench/harmful-behaviors.csv", [(str(folder / f"{f}.json"), n) for f, n in ARTIFACTS]),
        ("advbench/harmful_behaviors.csv", [(str(data / f), n) for f, n in ON_ADVBENCH]),
    ):
        suite = load_suite(data / suite_file)
        for path, count in files:
            attacked = attacks.get("replay").apply(suite.prompts, parsed("replay", path=path))
            assert len(attacked.prompts) == count, path
            assert len(attacked.skipped) == len(suite.prompts) - count
            assert all("/" not in p.id for p in attacked.prompts)
            if "GCG/vicuna" in path:
                assert all(p.messages[-1].content.startswith(p.plain) for p in attacked.prompts)


def test_replay_of_another_suite_says_so(shared: Path) -> None:
    suite = load_suite(shared / "data" / "jailbreakbench" / "harmful-behaviors.csv")
    options = parsed("replay", path=str(shared / "data" / "autodan" / "autodan_vicuna-7b.jsonl"))
    with pytest.raises(BadInput, match="of the suite's 100 prompts 0 are among the file's 50 goals"):
        attacks.get("replay").apply(suite.prompts, options)
