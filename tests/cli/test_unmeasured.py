"""A server that is dead, a judge that cannot be read: nothing was measured, and nobody is told otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import playsafe
from playsafe.results import load
from playsafe.results.unmeasured import lost, nothing_measured

SUITES = [
    {"name": "harmful", "path": "tiny:harmful", "limit": 6},
    {"name": "benign", "path": "tiny:benign", "limit": 4},
]


def dead(tmp_path: Path, **evaluation: Any) -> str:
    """A study whose server nobody listens to: port 9 of loopback."""
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "retries": 0, "timeout": 2}
    config = {
        "output_dir": str(tmp_path / "out"),
        "targets": [{"name": "served", "endpoint": endpoint}],
        "evaluation": {"suites": SUITES, **evaluation},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(config))
    return str(tmp_path / "study.yaml")


def recorded(tmp_path: Path, answered: int) -> list[str]:
    """An audit of replies on file: so many of the six harmful prompts have one, all of them refusals."""
    prompts = [json.loads(line) for line in (tmp_path / "out/no_role/served/prompts/harmful.jsonl").open()]
    rows = [{"prompt": p["text"], "completion": "I cannot help with that."} for p in prompts[:answered]]
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["evaluate", "--completions", f"vendor={tmp_path / 'replies.jsonl'}"]
    suites = json.dumps(SUITES[:1])
    return [*command, "--out", str(tmp_path / f"some-{answered}"), "--set", f"evaluation.suites={suites}"]


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    pytest.importorskip("openai")


@pytest.mark.usefixtures("key")
def test_a_dead_server_is_a_state_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = dead(tmp_path)
    assert playsafe("evaluate", study, "--json") == 4
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["table"] == [
        {"method": "served", "refusal": "–", "over-refusal": "–", "n": "0", "errors": "10"}
    ]
    assert {(row["suite"], row["n"], row["errors"]) for row in found["unmeasured"]} == {
        ("harmful", 0, 6),
        ("benign", 0, 4),
    }
    assert "served · harmful (6 of 6), served · benign (4 of 4)" in said.err
    assert nothing_measured(load(tmp_path / "out"))
    assert "Not measured, as most replies are missing" in (tmp_path / "out/report.html").read_text()

    assert playsafe("evaluate", study, "--gate", "refusal >= 0.9", "--gate", "refusal <= 0.5", "--quiet") == 4
    gate = json.loads((tmp_path / "out/gate.json").read_text())
    assert gate["passed"] is False
    for decision in gate["decisions"]:
        assert (decision["state"], decision["value"]) == ("not measured", None)
        assert (decision["n"], decision["errors"]) == (6, 6)
    assert "6 of 6" in capsys.readouterr().err


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("answered", "state", "code"), [(2, "not measured", 4), (3, "fail", 1), (6, "pass", 0)]
)
def test_more_missing_than_measured_is_not_measured(
    tmp_path: Path, answered: int, state: str, code: int
) -> None:
    """Three of six are the edge: there the missing ones speak against the gate."""
    assert playsafe("evaluate", dead(tmp_path), "--quiet") == 4
    command = recorded(tmp_path, answered)
    gate = "refusal >= 0.9" if answered == 3 else "refusal >= 0.5"
    assert playsafe(*command, "--gate", gate, "--quiet") == code
    out = tmp_path / f"some-{answered}"
    decision = json.loads((out / "gate.json").read_text())["decisions"][0]
    assert (decision["state"], decision["n"], decision["errors"]) == (state, 6, 6 - answered)
    assert bool(lost(load(out))) == (code == 4)
