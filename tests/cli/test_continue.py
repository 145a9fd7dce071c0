"""What a finished study keeps when something is added or changed, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import playsafe
from playsafe.judges import rules

pytestmark = pytest.mark.slow
STUDY = """
output_dir: {out}
roles: {{names: [Skarn]}}
data: {{limit: 32}}
methods: [sft]
training: {{per_device_train_batch_size: 8, gradient_accumulation_steps: 1}}
evaluation:
  generation: {{max_new_tokens: 16, batch_size: 64}}
  suites:
    - {{name: harmful, kind: harmful, path: "tiny:harmful", limit: 20}}
"""
MORE = """    - {name: benign, kind: benign, path: "tiny:benign", limit: 10}
"""


def files(root: Path, pattern: str) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in sorted(root.rglob(pattern))}


def suites(root: Path) -> set[str]:
    summary = json.loads((root / "Skarn" / "sft" / "seed-0" / "summary.json").read_text())
    return {estimate["suite"] for estimate in summary["estimates"]}


def test_additions_and_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, config = tmp_path / "out", tmp_path / "study.yaml"
    config.write_text(STUDY.format(out=out))
    assert playsafe("evaluate", str(config), "--quiet") == 2  # nothing is trained yet
    assert "nothing is trained yet" in capsys.readouterr().err
    assert playsafe("run", str(config), "--quiet") == 0
    weights, replies = files(out, "*.safetensors"), files(out, "completions/harmful.jsonl")
    assert len(weights) == 1
    assert len(replies) == 2

    config.write_text(STUDY.format(out=out) + MORE)  # a suite more: nothing is trained or asked again
    assert playsafe("run", str(config), "--quiet") == 0
    assert suites(out) == {"harmful", "benign", "references"}
    assert (files(out, "*.safetensors"), files(out, "completions/harmful.jsonl")) == (weights, replies)

    benign = files(out, "completions/benign.jsonl")
    config.write_text(STUDY.format(out=out))  # a suite less, then back: its replies were kept
    assert playsafe("run", str(config), "--quiet") == 0
    assert suites(out) == {"harmful", "references"}
    config.write_text(STUDY.format(out=out) + MORE)
    assert playsafe("run", str(config), "--quiet") == 0
    assert suites(out) == {"harmful", "benign", "references"}
    assert files(out, "completions/benign.jsonl") == benign

    verdicts = files(out, "verdicts/harmful.rules.jsonl")
    monkeypatch.setattr(rules.JUDGE, "version", "another")  # another judge: judged again, not asked again
    assert playsafe("run", str(config), "--quiet") == 0
    assert files(out, "completions/harmful.jsonl") == replies
    assert all(later > verdicts[name] for name, later in files(out, "verdicts/harmful.rules.jsonl").items())

    changed = ["--set", "evaluation.generation.max_new_tokens=8"]  # other replies: asked again, not trained
    assert playsafe("run", str(config), "--quiet", *changed) == 0
    assert files(out, "*.safetensors") == weights
    again = files(out, "completions/harmful.jsonl")
    assert all(later > replies[name] for name, later in again.items())

    before = (out / "study.json").read_bytes()
    assert playsafe("run", str(config), "--quiet", "--set", "scoring.threshold=0.5") == 2
    assert (out / "study.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            'evaluation.suites=[{name: "../../x", kind: harmful, path: "tiny:harmful"}]',
            "evaluation.suites.0.name",
        ),
        ("seeds=[0, 0]", "seeds must differ"),
        ("methods=[{name: sft, label: a b}, {name: sft, label: a/b}]", "labels of methods must differ"),
        ("roles.names=[Skarn, Skarn]", "Name each role once"),
        ("training.extra={save_total_limit: 5}", "is set by playsafe"),
        ("training.lr_scheduler_type=cosin", "cosin"),
        ("model.device=gpu", "model.device"),
        ("data.references=nowhere.jsonl", "nowhere.jsonl: there is no such file"),
        ("methods=[{name: sarft, options: {preset: released, direction: reverse}}]", "fixes direction"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(f"output_dir: {tmp_path / 'out'}\nroles: {{names: [Skarn]}}\n")
    assert playsafe("run", str(config), "--quiet", "--set", change) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("summary.json"))


def test_scores_do_not_depend_on_what_was_trained_before(tmp_path: Path) -> None:
    """A model handed back by training scores as the untouched one, also with gradient checkpointing."""
    found: list[Any] = []
    for name, verbs in (("trained-first", ["train"]), ("scored-first", ["score", "train"])):
        config = tmp_path / f"{name}.yaml"
        config.write_text(
            f"output_dir: {tmp_path / name}\nroles: {{names: [Oluna, Skarn]}}\ndata: {{limit: 16}}\n"
            "methods: [sarft]\ntraining: {gradient_checkpointing: true, gradient_accumulation_steps: 1}\n"
        )
        for verb in verbs:
            assert playsafe(verb, str(config), "--quiet") == 0
        found.append((tmp_path / name / "Skarn" / "scores" / "scores.jsonl").read_text())
    assert found[0] == found[1]
