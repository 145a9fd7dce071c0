"""Prompt suites: columns, subsets, samples, errors; counts of the published sets where they are at hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from playsafe.data.suites import load_suite
from playsafe.errors import BadInput
from playsafe.records import Message

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def write(folder: Path, text: str, name: str = "suite.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def contents(path: Path, **options: object) -> list[str]:
    return [prompt.messages[0].content for prompt in load_suite(path, **options).prompts]  # type: ignore[arg-type]


def test_csv_with_quotes_lines_and_category(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffid,prompt,type\n9,"a, ""b""\nc",x\n8,d,y\n')
    suite = load_suite(path, name="mine")
    assert [(p.id, p.suite, p.messages, p.category, p.references) for p in suite.prompts] == [
        ("mine:1", "mine", (Message("user", 'a, "b"\nc'),), "x", ()),
        ("mine:2", "mine", (Message("user", "d"),), "y", ()),
    ]
    assert hashlib.sha256(path.read_bytes()).hexdigest() in suite.source
    assert "2 of 2 rows, column=prompt" in suite.source


def test_json_and_jsonl_give_the_same_prompts(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "category": "x"}, {"prompt": "b"}]
    one = load_suite(write(tmp_path, json.dumps(rows), "suite.json"))
    two = load_suite(write(tmp_path, "\n".join(map(json.dumps, rows)), "suite.jsonl"))
    assert (one.prompts, one.sha256) == (two.prompts, two.sha256)
    assert [prompt.category for prompt in one.prompts] == ["x", ""]


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("goal,target", "goal"),
        ("text,prompt", "prompt"),
        ("category,source,forbidden_prompt", "forbidden_prompt"),
        ("Behavior,Tags", "Behavior"),
        (",Goal,Target,Behavior", "Goal"),
    ],
)
def test_column_is_found(tmp_path: Path, header: str, column: str) -> None:
    path = write(tmp_path, f"{header}\n{','.join(f'cell {name}' for name in header.split(','))}\n")
    assert contents(path) == [f"cell {column}"]


def test_column_can_be_named(tmp_path: Path) -> None:
    assert contents(write(tmp_path, "prompt,zh\na,b\n"), column="zh") == ["b"]


@pytest.mark.parametrize(
    ("subset", "kept"),
    [
        ("kind=b", ["2"]),
        ("kind!=b", ["1", "3"]),
        ("kind^=c_", ["1", "3"]),
        ("kind!^=c_", ["2"]),
        ("kind=", []),
    ],
)
def test_subset(tmp_path: Path, subset: str, kept: list[str]) -> None:
    path = write(tmp_path, "prompt,kind\n1,c_a\n2,b\n3,c_b\n")
    if kept:
        assert contents(path, subset=subset) == kept
        assert f"subset={subset}" in load_suite(path, subset=subset).source
    else:
        with pytest.raises(BadInput, match=r"no row meets 'kind='.*Values found: b, c_a, c_b"):
            load_suite(path, subset=subset)


def test_limit_takes_the_head_or_a_seeded_sample(tmp_path: Path) -> None:
    path = write(tmp_path, "prompt\n" + "\n".join(f"p{n}" for n in range(1, 101)))
    assert contents(path, limit=3) == ["p1", "p2", "p3"]
    sample = load_suite(path, limit=10, seed=1)
    assert "10 of 100 rows, column=prompt, limit=10, seed=1" in sample.source
    assert sample == load_suite(path, limit=10, seed=1)
    assert sample.sha256 != load_suite(path, limit=10, seed=2).sha256
    numbers = [int(prompt.id.split(":")[1]) for prompt in sample.prompts]
    assert numbers == sorted(numbers)
    assert [prompt.messages[0].content for prompt in sample.prompts] == [f"p{n}" for n in numbers]
    assert set(sample.prompts) < set(load_suite(path, limit=20, seed=1).prompts)
    assert len(load_suite(path, limit=500, seed=1).prompts) == 100


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {}, r"no column is known to hold prompts: 'a', 'b'"),
        ("Prompt,prompt\n1,2\n", {}, r"may stand in 'Prompt' or 'prompt'"),
        ("instruction,input\n1,2\n", {}, r"may stand in 'instruction' or 'input'"),
        ("prompt,b\n1,2\n", {"column": "promt"}, r"no column 'promt'.*'prompt', 'b'.*Did you mean 'prompt'"),
        ("prompt,kind\n1,2\n", {"subset": "kinds=2"}, r"no column 'kinds'.*Did you mean 'kind'"),
        ("prompt,kind\n1,2\n", {"subset": "kind"}, r"subset 'kind' is no condition.*column\^=prefix"),
        ("prompt\n1\n", {"limit": 0}, r"limit is 0"),
        ('prompt,b\n"x\ny",1\n ,2\n', {}, r"suite\.csv:4: prompt is empty"),
        ("prompt,b\nx,1,2\n", {}, r"suite\.csv:2: the row has 3 cells, the header 2"),
        ('prompt\nx\n"y\n', {}, r"suite\.csv:3: broken CSV"),
        ("prompt,prompt\nx,y\n", {}, r"suite\.csv:1: two columns"),
        ("prompt\n", {}, r"the file has no rows"),
        ("", {}, r"the file has no rows"),
    ],
)
def test_errors(tmp_path: Path, text: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_suite(write(tmp_path, text), **options)  # type: ignore[arg-type]


def test_prompts_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"suite\.jsonl:2: prompt is null"):
        load_suite(write(tmp_path, '{"prompt": "a"}\n{"prompt": null}', "suite.jsonl"))


@pytest.mark.parametrize(
    ("file", "options", "count"),
    [
        ("advbench/harmful_behaviors.csv", {}, 520),
        ("advbench/advbench_subset_50.csv", {}, 50),
        ("xstest/xstest_prompts.csv", {}, 450),
        ("xstest/xstest_prompts.csv", {"subset": "type!^=contrast_"}, 250),
        ("xstest/xstest_prompts.csv", {"subset": "label=safe"}, 250),
        ("beavertails_evaluation/BeaverTails-Evaluation.json", {}, 700),
        ("strongreject/strongreject_dataset.csv", {}, 313),
        ("harmbench/behavior_datasets/harmbench_behaviors_text_all.csv", {}, 400),
        ("jailbreakbench/harmful-behaviors.csv", {}, 100),
    ],
)
def test_published_sets(file: str, options: dict[str, str], count: int) -> None:
    path = DATA / file
    if not path.is_file():
        pytest.skip(f"{path} is absent: this published set is not tested")
    ids = [prompt.id for prompt in load_suite(path, **options).prompts]  # type: ignore[arg-type]
    assert len(ids) == len(set(ids)) == count
