"""The page of an audit (targets instead of methods), of a prompted study, and where numbers come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_report_study import RICH, ROLES, Plan, fragment, rewrite, write_audit, write_json, write_study

from playsafe.report import write_page
from playsafe.report.provenance import model_name, section
from playsafe.report.sections import Section
from playsafe.report.tables import difference_table
from playsafe.report.transcripts import transcripts
from playsafe.report.warnings import warnings
from playsafe.results import StudyRuns, load
from playsafe.results.attacks import measured
from playsafe.results.numbers import Numbers
from playsafe.rundir import read_json


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRuns:
    root = write_study(
        tmp_path_factory.mktemp("study"), roles={"Alma": "kind"}, seeds=(0,), plan=RICH, steps=3
    )
    return load(root)


def test_an_audit_says_nothing_of_seeds_and_methods(tmp_path: Path) -> None:
    root = write_audit(tmp_path)
    page = write_page(root).read_text(encoding="utf-8")
    shown = page[page.index("<body>") : page.index('<script type="application/json"')]
    text = " ".join(re.sub("<.*?>", " ", shown).split())
    assert "tiny · 2 targets" in text
    assert "training seed" not in text
    assert "One training" not in text
    assert "not finished" not in text  # the study's default methods and seeds were never meant
    assert not re.search(r'id="(curves|gaps|flagged)"', shown)
    assert "tiny with new" in text


def test_targets_of_different_roles_are_counted_where_they_are(tmp_path: Path) -> None:
    root = write_audit(tmp_path, role="Alma")
    place = root / "Brin" / "new"
    place.parent.mkdir()
    (root / "Alma" / "new").rename(place)
    rewrite(place, lambda summary: summary.update(role="Brin"))
    study = read_json(root / "study.json")
    study["targets"] = [t | {"role": "Brin"} if t["name"] == "new" else t for t in study["targets"]]
    write_json(root / "study.json", study)
    _, rows = difference_table(Numbers(load(root)))
    assert [row[:3] for row in rows] == [["old − base", "all roles", "1"], ["new − base", "all roles", "1"]]


def test_what_any_target_turned_wrong_comes_first(tmp_path: Path) -> None:
    """Without plain fine-tuning every target counts alike: old refuses 36 of 40, new 12, base 39."""
    found = transcripts(load(write_audit(tmp_path)))
    turned = [item["turned"] for item in found["items"] if item["suite"] == 0]
    assert sum(turned) == 39 - 12
    assert turned == sorted(turned, reverse=True)


def test_an_unfinished_target_is_named(tmp_path: Path) -> None:
    root = write_audit(tmp_path, role="Alma")
    (root / "Alma" / "new" / "summary.json").unlink()
    found = "\n".join(warnings(Numbers(load(root))))
    assert "1 of the study's runs are not finished: Alma · new" in found


@pytest.mark.parametrize(
    ("described", "shown"),
    [
        ("tiny", "tiny"),
        ("meta-llama/Llama-3-8B", "meta-llama/Llama-3-8B"),
        ("/data/models/llama", "llama"),
        ("/data/models/llama/", "llama"),
        ("../models/llama", "llama"),
        ("C:\\models\\llama", "llama"),
        ("/data/with love/llama with adapter", "llama with adapter"),
        ("gpt at http://127.0.0.1:8000/v1", "gpt at http://127.0.0.1:8000/v1"),
    ],
)
def test_no_folder_of_this_machine_stands_in_the_header(described: str, shown: str) -> None:
    assert model_name(described) == shown


def test_provenance_names_judges_suites_attacks_and_decoding(study: StudyRuns) -> None:
    text = " ".join(re.sub("<.*?>", " ", fragment(Section("methods", "", "", section(study)), study)).split())
    assert "rubric name rubric, version 2, weights rubric77" in text
    assert "harmful+caesar@role harmful 40 harmful.csv (sha256 1acc2c): 40 of 40 rows" in text
    assert "attacks caesar (shift 3)" in text
    assert "system turns none, role prompt" in text
    assert "decoding sampling greedy, max_new_tokens 48" in text


def test_a_prompted_study_alone(tmp_path: Path) -> None:
    """Only the role prompt was asked: there is no common run of the aligned model."""
    plan = Plan(("harmful", "dark"), ("caesar",), ("role",), ("rules", "rubric"))
    root = write_study(tmp_path, roles=dict(list(ROLES.items())[:4]), seeds=(0,), plan=plan, steps=3)
    write_json(root / "base" / "summary.json", read_json(root / "base" / "summary.json"))
    runs = load(root)
    assert runs.suites("harmful") == ["harmful@role"]
    base = measured(Numbers(runs))["rules", "base", "harmful@role"]
    assert base is not None
    assert base.value == pytest.approx(1 / 40)
    write_page(root)
