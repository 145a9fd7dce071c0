"""Loading of the report: which runs, suites, judges and replies a study has on disk."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from test_report_study import RICH, ROLES, TALK, rewrite, write_audit, write_study

from playsafe.errors import BadInput
from playsafe.records import Completion
from playsafe.results import load
from playsafe.results.load import NO_ROLE, spoken


def test_runs_are_found_sorted_and_grouped(tmp_path: Path) -> None:
    study = load(write_study(tmp_path, steps=3))
    assert study.roles == ["Skarn", "Vex", "Alma", "Brin", "Cato"]  # cruel, kind, odd
    assert (study.methods, study.seeds, len(study.trained)) == (["sft", "sarft"], [0, 1], 20)
    assert (study.suites("harmful"), study.suites("references")) == (["harmful"], ["references"])
    assert set(study.scores) == set(ROLES)
    assert not study.is_audit


def test_suites_are_told_apart_by_how_they_were_asked(tmp_path: Path) -> None:
    study = load(write_study(tmp_path, roles={"Alma": "kind"}, seeds=(0,), plan=RICH, steps=3))
    attacked = ["harmful", "harmful@role", "harmful+caesar", "harmful+caesar@role"]
    assert study.keys("harmful") == attacked
    assert (study.suites("harmful"), study.suites("harmful", "role")) == (["harmful"], ["harmful@role"])
    assert (study.systems, study.system, study.judges) == (["none", "role"], "none", ["rules", "rubric"])
    assert spoken("harmful+caesar@role") == "harmful + caesar, role prompt"
    run = study.cell("Alma", "sft")[0]
    assert run.verdicts("harmful", "rubric")["harmful:1"].outcome == "comply"
    assert run.verdicts("harmful")["harmful:1"].outcome == "refuse"
    assert run.voices("harmful@role")["harmful:2"].in_character is False
    assert run.completions("harmful+caesar")["harmful:1"].said == TALK[True]


def test_an_audit_has_targets_and_no_seeds(tmp_path: Path) -> None:
    study = load(write_audit(tmp_path))
    assert (study.is_audit, study.roles, study.seeds) == (True, [NO_ROLE], [])
    assert (study.methods, list(study.configured_methods)) == (["old", "new"], ["old", "new"])
    assert study.base_run(NO_ROLE, "harmful") is study.base[0]


def test_the_last_line_of_an_id_counts(tmp_path: Path) -> None:
    write_study(tmp_path, roles={"Alma": "kind"}, seeds=(0,), steps=3)
    file = tmp_path / "role-0" / "sft" / "seed-0" / "completions" / "harmful.jsonl"
    again = asdict(Completion("harmful:1", "harmful", "asked again", 2, "stop"))
    file.write_text(file.read_text(encoding="utf-8") + json.dumps(again) + "\n", encoding="utf-8")
    run = load(tmp_path).cell("Alma", "sft")[0]
    assert run.completions("harmful")["harmful:1"].text == "asked again"


def test_a_missing_directory_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "none")
    with pytest.raises(BadInput, match="no finished run"):
        load(tmp_path)


def test_a_broken_summary_names_its_file(tmp_path: Path) -> None:
    write_study(tmp_path, steps=3)
    rewrite(tmp_path / "base", lambda summary: summary["estimates"][0].update(low=0.99))
    with pytest.raises(BadInput, match=r"base/summary.json: not a summary of ours"):
        load(tmp_path)
