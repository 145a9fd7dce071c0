"""What a study no longer asks for, and what was made with other settings, is left out and said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_report_study import RICH, rewrite, write_audit, write_json, write_jsonl, write_study

from playsafe.errors import BadInput
from playsafe.report import summary_table, write_page
from playsafe.results import decisions, load
from playsafe.results.numbers import Numbers
from playsafe.rundir import read_json

PART = {"Alma": "kind", "Skarn": "cruel"}
GATES = ("refusal >= 0.2",)


def change(root: Path, *keys: str, value: Any) -> None:
    """Set a key of study.json, as a later command on the same directory would."""
    study = read_json(root / "study.json")
    section = study
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    write_json(root / "study.json", study)


def when(run: Path, time: str) -> None:
    write_jsonl(run / "events.jsonl", [{"time": time, "pid": 1, "job": "measure", "event": "done"}])


@pytest.mark.parametrize(
    ("keys", "value", "gone", "kept"),
    [
        (("roles", "names"), ["Alma"], "Skarn · sft · seed 0", {("Alma", "sft"), ("Alma", "sarft")}),
        (("cast",), ["Alma"], "Skarn · base", {("Alma", "sft"), ("Alma", "sarft")}),
        (("methods",), [{"name": "sft", "label": ""}], "Alma · sarft", {("Alma", "sft"), ("Skarn", "sft")}),
    ],
)
def test_roles_and_arms_that_are_taken_out_stand_nowhere(
    tmp_path: Path, keys: tuple[str, ...], value: Any, gone: str, kept: set[tuple[str, str]]
) -> None:
    root = write_study(tmp_path, roles=PART, seeds=(0,), gates=GATES, steps=3)
    assert load(root).left == ()
    change(root, *keys, value=value)
    runs = load(root)
    [left] = runs.left
    assert left.startswith("Left out, as no longer asked for by the study")
    assert gone in left
    assert {(run.role, run.method) for run in runs.trained} == kept
    assert {(row[0], row[2]) for row in summary_table(runs)[1]} == kept | {("all roles", "base")}
    assert {d.run for d in decisions(runs)} == {f"{role} · {method} · seed 0" for role, method in kept}
    assert set(runs.scores) == {role for role, _ in kept}
    assert gone in write_page(root).read_text(encoding="utf-8")


def test_seeds_suites_attacks_turns_and_judges_that_are_taken_out(tmp_path: Path) -> None:
    root = write_study(tmp_path, roles={"Alma": "kind"}, plan=RICH, steps=3)
    every = load(root)
    assert (every.judges, every.seeds, len(every.kinds)) == (["rules", "rubric"], [0, 1], 10)
    change(root, "seeds", value=[1])
    change(root, "evaluation", "suites", value=[{"name": "harmful"}, {"name": "benign"}])
    change(root, "evaluation", "attacks", value=[])
    change(root, "evaluation", "system", value=["none"])
    change(root, "evaluation", "judges", value=[{"name": "rules"}])
    runs = load(root)
    assert (runs.judges, runs.seeds) == (["rules"], [1])
    assert set(runs.kinds) == {"harmful", "benign", "references"}
    [left] = runs.left
    for name in ("seed 0", "rubric", "harmful+caesar", "dark"):
        assert name in left or "more" in left


def another(what: str) -> Callable[[dict[str, Any]], None]:
    def rewritten(summary: dict[str, Any]) -> None:
        summary["options"] = {"lambda": 3.0 if what == "options" else 1.0}
        summary["decoding"] = {"sampling": "greedy", "max_new_tokens": 16 if what == "decoding" else 48}
        for key, asked in summary["suites"].items():
            asked["hash"] = "b" if (what, key) == ("prompts", "harmful") else "a"

    return rewritten


@pytest.mark.parametrize("what", ["options", "decoding", "prompts"])
def test_runs_with_other_settings_are_no_second_seed(tmp_path: Path, what: str) -> None:
    """Seed 1 is the newer run: seed 0 is left out, or its answers to other prompts."""
    root = write_study(tmp_path, roles={"Alma": "kind"}, methods=("sft",), steps=3)
    for file in root.rglob("summary.json"):
        if read_json(file).get("kind") != "scores":
            rewrite(file.parent, another(""))
            when(file.parent, "2026-01-02T00:00:00+00:00")
    both = Numbers(load(root)).cell("Alma", "sft", "refusal")
    assert both is not None
    old = root / "role-0" / "sft" / "seed-0"
    rewrite(old, another(what))
    when(old, "2026-01-01T00:00:00+00:00")
    runs = load(root)
    [left] = runs.left
    assert left.startswith("Left out, as made with other settings than the newest run: Alma · sft · seed 0")
    said = {
        "options": "lambda 3.0, not 1.0",
        "decoding": "max_new_tokens 16, not 48",
        "prompts": "other prompts",
    }
    assert said[what] in left
    alone = Numbers(runs).cell("Alma", "sft", "refusal")
    assert alone is not None
    assert (both.how.startswith("bootstrap over seeds"), alone.how) == (True, "wilson")
    stored = load(root).cell("Alma", "sft")[-1].estimate("harmful", "refusal", "rules")
    assert stored is not None
    assert alone.value == stored.value


def test_a_folder_of_two_studies_is_refused_and_one_of_parts_is_one_study(tmp_path: Path) -> None:
    one = write_study(tmp_path / "one", roles={"Alma": "kind"}, seeds=(0,), steps=3)
    write_study(tmp_path / "whole", roles=PART, seeds=(0,), steps=3)
    for name in ("a", "b"):
        shutil.copytree(tmp_path / "whole", tmp_path / "parts" / name)
    for name, lost in (("a", "role-1"), ("b", "role-0")):
        for arm in ("sft", "sarft"):
            shutil.rmtree(tmp_path / "parts" / name / lost / arm)
    whole, parts = (summary_table(load(tmp_path / name)) for name in ("whole", "parts"))
    assert parts == whole
    change(one, "evaluation", "generation", value={"sampling": "greedy", "max_new_tokens": 16})
    shutil.copytree(one, tmp_path / "parts" / "c")
    with pytest.raises(BadInput, match="different studies: a and c have another evaluation"):
        load(tmp_path / "parts")


def test_a_study_below_another_is_its_own(tmp_path: Path) -> None:
    root = write_study(tmp_path, roles={"Alma": "kind"}, seeds=(0,), steps=3)
    alone = summary_table(load(root))
    write_study(root / "older", roles={"Skarn": "cruel"}, seeds=(0,), steps=3)
    runs = load(root)
    assert summary_table(runs) == alone
    assert runs.left == ("Left out, as studies of their own: older.",)


def test_a_study_whose_runs_are_all_left_out_says_why(tmp_path: Path) -> None:
    root = write_audit(tmp_path, base=False)
    change(root, "targets", value=[{"name": "other", "adapter": "/adapters/other", "role": None}])
    with pytest.raises(BadInput, match=r"no finished run that the study asks for.*: old, new|new, old"):
        load(root)
