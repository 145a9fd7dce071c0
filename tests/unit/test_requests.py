"""Prompts that say the same are one request, whatever their ids; it is said, not read from an id."""

from __future__ import annotations

import json
from pathlib import Path

from playsafe import sources
from playsafe.config import DataConfig, EvaluationConfig, RolesConfig, SuiteConfig
from playsafe.probes import expand


def suite(tmp_path: Path, texts: list[str], kind: str = "harmful") -> sources.PromptSet:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    config = SuiteConfig.model_validate({"name": "mine", "kind": kind, "path": str(file)})
    return sources.suite(config, EvaluationConfig())


def test_the_same_prompt_twice_is_one_trial_and_said(tmp_path: Path) -> None:
    found = suite(tmp_path, ["Forge it.", "Steal it.", "Forge it.", "forge it.", "Forge it."])
    assert [p.trial or p.id for p in found.prompts] == ["mine:1", "mine:2", "mine:1", "mine:4", "mine:1"]
    assert found.source.endswith("2 of them the same request as an earlier one")
    alone = suite(tmp_path, ["Forge it.", "Steal it."])
    assert {p.trial for p in alone.prompts} == {""}
    assert "same request" not in alone.source
    assert found.prompts[0].id != found.prompts[2].id


def test_an_attack_keeps_the_requests(tmp_path: Path) -> None:
    (tmp_path / "templates.jsonl").write_text(
        "".join(json.dumps({"template": f"Text {n}: [PROMPT]"}) + "\n" for n in range(3))
    )
    attack = {"name": "template", "options": {"path": str(tmp_path / "templates.jsonl")}}
    config = EvaluationConfig.model_validate({"attacks": [attack]})
    [_, attacked] = expand(config, [suite(tmp_path, ["a/b", "c", "a/b"])])
    assert len(attacked.prompts) == 9
    assert {p.trial for p in attacked.prompts} == {"mine:1", "mine:2"}


def test_held_out_rows_stand_each_for_itself(tmp_path: Path) -> None:
    """Their ids hold slashes; two of them have one question and each its own reply: forty trials."""
    rows = [
        {"id": f"Ada/{n}", "prompt": f"Question {n % 39}?", "completion": f"Reply {n}."} for n in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(path=str(tmp_path / "rows.jsonl"), references=str(tmp_path / "rows.jsonl"))
    role = sources.roles(RolesConfig())[0]
    found = sources.references(sources.role_data(data, role))
    assert len({p.trial or p.id for p in found.prompts}) == 40
    assert found.source == "40 held-out rows, 1 with the question of another one"
