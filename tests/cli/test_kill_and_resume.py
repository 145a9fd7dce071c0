"""SIGKILL, SIGINT and SIGTERM at random moments in every stage: the run ends as an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUDY = """
output_dir: {out}
roles: {{names: [Skarn]}}
data: {{limit: 128}}
training: {{lora: null, learning_rate: 5.0e-4, num_train_epochs: 2, per_device_train_batch_size: 8,
  gradient_accumulation_steps: 1, save_steps: 6, logging_steps: 3}}
evaluation:
  generation: {{max_new_tokens: 40, batch_size: 16, sampling: {sampling}}}
"""
TARGETS = ["", "scoring", *["training"] * 3, *["answering"] * 3]
SIGNALS = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
LINE = "interrupted; repeat the command to continue\n"


def start(config: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "playsafe", "run", str(config), "--quiet"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def stage(out: Path) -> str:
    """What the run that wrote last says it is doing."""
    found = max(out.rglob("status.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
    try:
        return json.loads(found.read_text())["stage"] if found else ""
    except (FileNotFoundError, json.JSONDecodeError):
        return ""


def estimates(out: Path) -> dict[str, object]:
    return {
        str(path.parent.relative_to(out)): json.loads(path.read_text()).get("estimates")
        for path in sorted(out.rglob("summary.json"))
    }


@pytest.mark.slow
def test_stopped_eight_times_ends_with_the_same_estimates(tmp_path: Path) -> None:
    configs = {}
    for name in ("whole", "killed"):
        configs[name] = tmp_path / f"{name}.yaml"
        configs[name].write_text(STUDY.format(out=tmp_path / name, sampling="greedy"))
    assert start(configs["whole"]).wait(300) == 0
    rng, hit = random.Random(7), []
    for number, target in enumerate(TARGETS):
        process, chosen = start(configs["killed"]), SIGNALS[number % 3]
        while process.poll() is None and target and stage(tmp_path / "killed") != target:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.7) + (not target) * 0.3)  # "" is while libraries are imported
        reached = stage(tmp_path / "killed")
        process.send_signal(chosen)
        said = process.communicate(timeout=30)[1]
        assert (process.returncode, said) in ((-9, ""), (128 + chosen, LINE)), (reached, said)
        hit.append(reached)
    assert {"scoring", "training", "answering"} <= set(hit), hit
    assert start(configs["killed"]).wait(300) == 0
    whole, killed = estimates(tmp_path / "whole"), estimates(tmp_path / "killed")
    assert len(whole) == 5  # base, role's base, scores, two methods
    assert killed == whole
    for name in ("scores/scores.jsonl", "sarft/seed-0/train.jsonl"):
        rows = [
            [json.loads(line) for line in (tmp_path / side / "Skarn" / name).read_text().splitlines()]
            for side in ("whole", "killed")
        ]
        assert rows[0] == rows[1], name
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("summary.json")}
    assert start(configs["killed"]).wait(300) == 0  # a finished study is not computed again
    assert before == {path: path.stat().st_mtime_ns for path in before}
