"""Training under a launcher with two processes: one of them writes, and only `train` is allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import playsafe

STUDY = """
output_dir: {out}
roles: {{names: [Skarn]}}
data: {{limit: 32}}
methods: [sarft]
training: {{per_device_train_batch_size: {batch}, gradient_accumulation_steps: 1, logging_steps: 1,
  lora: {{r: 4, lora_alpha: 8}}, learning_rate: 5.0e-3, extra: {{ddp_find_unused_parameters: false}}}}
"""


def launched(verb: str, config: Path, port: int) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    command = [*launcher, "-m", "playsafe.cli", verb, str(config), "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_two_processes_train_one_run(tmp_path: Path) -> None:
    configs = {}
    for name, batch in (("two", 4), ("one", 8)):
        configs[name] = tmp_path / f"{name}.yaml"
        configs[name].write_text(STUDY.format(out=tmp_path / name, batch=batch))
    refused = launched("train", configs["two"], 29521)
    assert refused.returncode != 0
    assert "is work for one process" in refused.stderr
    assert playsafe("score", str(configs["two"]), "--quiet") == 0
    done = launched("train", configs["two"], 29522)
    assert done.returncode == 0, done.stderr[-2000:]
    assert playsafe("train", str(configs["one"]), "--quiet") == 0
    logs = [
        [json.loads(line) for line in (tmp_path / name / "Skarn/sarft/seed-0/train.jsonl").open()]
        for name in ("two", "one")
    ]
    assert [line["step"] for line in logs[0]] == [1, 2, 3, 4]
    for two, one in zip(*logs, strict=True):  # the same rows in each step, so the same loss
        assert two["loss"] == pytest.approx(one["loss"], rel=2e-3)
    assert (tmp_path / "two/Skarn/sarft/seed-0/adapter/adapter_model.safetensors").exists()


@pytest.mark.slow
def test_two_processes_train_rows_and_pairs(tmp_path: Path) -> None:
    """A rank may hold pairs where the other holds rows; the terms are those of one process."""
    pairs = "pairs: {path: tiny, limit: 4, system: [none, role], languages: [en, de]}\n"
    logs = []
    for name, batch in (("two", 4), ("one", 8)):
        config = tmp_path / f"{name}.yaml"
        study = STUDY.format(out=tmp_path / name, batch=batch).replace("[sarft]", "[mpo]")
        config.write_text(study.replace("limit: 32", "limit: 16") + pairs)
        if name == "two":
            done = launched("train", config, 29523)
            assert done.returncode == 0, done.stderr[-2000:]
        else:
            assert playsafe("train", str(config), "--quiet") == 0
        log = (tmp_path / name / "Skarn" / "mpo" / "seed-0" / "train.jsonl").read_text()
        logs.append([json.loads(line) for line in log.splitlines()])
    assert [line["step"] for line in logs[0]] == [1, 2, 3, 4]  # 16 rows and 16 targets
    for two, one in zip(*logs, strict=True):
        for term in ("loss", "ce", "gap", "retain"):
            assert two[term] == pytest.approx(one[term], rel=5e-3, abs=1e-6)
