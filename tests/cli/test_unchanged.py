"""Nothing that is evaluated or trained changes what comes after it, and nothing finished changes unseen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from conftest import playsafe
from playsafe import api
from playsafe.config import StudyConfig
from playsafe.errors import BadInput
from playsafe.progress import quieten
from playsafe.tiny import MODEL_DIR

SUITES = [
    {"name": "harm", "kind": "harmful", "path": "tiny:harmful", "limit": 4},
    {"name": "quiz", "path": "tiny:task:en", "limit": 4},
]
Q = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
KINDS: dict[str, tuple[Any, float]] = {
    "head": (peft.LoraConfig(**Q, modules_to_save=["lm_head"]), 0.05),
    "norm": (peft.LoraConfig(**Q, modules_to_save=["norm"]), 0.5),
    "biases": (peft.LoraConfig(**Q, bias="all"), 0.5),
    "virtual": (peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4), 0.5),
    "plain": (peft.LoraConfig(**Q), 0.1),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model with biases and a head of its own, and adapters of every kind on it."""
    quieten()
    folder = tmp_path_factory.mktemp("zoo")
    tied = AutoModelForCausalLM.from_pretrained(MODEL_DIR).state_dict()
    config = AutoConfig.from_pretrained(MODEL_DIR, tie_word_embeddings=False, attention_bias=True)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(tied[name]) if name in tied else weight.zero_()
    model.save_pretrained(folder / "base")
    AutoTokenizer.from_pretrained(MODEL_DIR).save_pretrained(folder / "base")
    for name, (config, noise) in KINDS.items():
        torch.manual_seed(0)
        adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder / "base"), config)
        with torch.no_grad():
            for weight in adapted.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * noise)
        adapted.save_pretrained(folder / name)
    return folder


def evaluated(zoo: Path, out: Path, order: list[str]) -> dict[str, dict[str, str]]:
    """Target → file → what it holds."""
    study = {
        "output_dir": str(out),
        "model": {"name_or_path": str(zoo / "base")},
        "targets": [{"name": name, "adapter": str(zoo / name)} for name in order],
        "evaluation": {"suites": SUITES, "generation": {"max_new_tokens": 12}},
    }
    assert {o.state for o in api.evaluate(StudyConfig.model_validate(study))} == {"done"}
    files = ("completions/harm.jsonl", "likelihoods/quiz.jsonl", "values/harm.jsonl", "values/quiz.jsonl")
    return {name: {file: (out / "no_role" / name / file).read_text() for file in files} for name in order}


@pytest.mark.slow
def test_targets_in_any_order_are_each_as_alone(zoo: Path, tmp_path: Path) -> None:
    names = list(KINDS)
    alone = {name: evaluated(zoo, tmp_path / name, [name])[name] for name in names}
    assert len({told["likelihoods/quiz.jsonl"] for told in alone.values()}) == len(names)
    for n, order in enumerate((names, names[::-1], [*names[2:], *names[:2]])):
        assert evaluated(zoo, tmp_path / str(n), order) == alone


@pytest.mark.slow
def test_a_training_that_changes_the_base_poisons_no_other_cell(tmp_path: Path) -> None:
    """PiSSA moves the base weights when it begins: the second role's training and base do not know of it."""

    def ran(out: Path, roles: list[str]) -> dict[str, str]:
        study = {
            "output_dir": str(out),
            "roles": {"names": roles},
            "data": {"limit": 8},
            "methods": ["sft"],
            "training": {"lora": {"r": 2, "init_lora_weights": "pissa"}, "reference": "bank", "max_steps": 2},
            "evaluation": {
                "suites": SUITES,
                "generation": {"max_new_tokens": 8},
                "voice": {"measure": False},
            },
        }
        assert {o.state for o in api.run(StudyConfig.model_validate(study))} == {"done"}
        place = out / "Bertho/sft/seed-0"
        return {f: (place / f).read_text() for f in ("train.jsonl", "likelihoods/quiz.jsonl")}

    assert ran(tmp_path / "both", ["Skarn", "Bertho"]) == ran(tmp_path / "alone", ["Bertho"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, its YAML beside it."""
    quieten()
    root = tmp_path_factory.mktemp("finished")
    study = {
        "output_dir": str(root / "out"),
        "roles": {"names": ["Skarn"]},
        "data": {"limit": 8},
        "methods": ["sarft"],
        "training": {"lora": {"r": 2}, "max_steps": 2},
        "evaluation": {"suites": SUITES, "generation": {"max_new_tokens": 8}},
    }
    (root / "study.yaml").write_text(json.dumps(study))
    assert playsafe("run", str(root / "study.yaml"), "--quiet") == 0
    return root


def half(path: Path) -> None:
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[: len(whole) // 2]))


def other_digit(path: Path) -> None:
    start, digit, end = path.read_text().rpartition("1")
    path.write_text(f"{start}2{end}" if digit else end.replace("0", "2", 1))


CELL = "Skarn/sarft/seed-0"


@pytest.mark.slow
@pytest.mark.parametrize("change", [half, other_digit, Path.unlink])
@pytest.mark.parametrize("place", [CELL, "base"])
@pytest.mark.parametrize("file", ["verdicts/harm.rules.jsonl", "values/harm.jsonl", "completions/harm.jsonl"])
def test_a_file_that_changed_is_named_and_made_again(
    finished: Path, tmp_path: Path, capsys: Any, place: str, file: str, change: Callable[[Path], None]
) -> None:
    made_again(finished, tmp_path, capsys, f"{place}/{file}", file, change)


@pytest.mark.slow
@pytest.mark.parametrize("change", [half, other_digit, Path.unlink])
def test_scores_that_changed_are_named_and_made_again(
    finished: Path, tmp_path: Path, capsys: Any, change: Callable[[Path], None]
) -> None:
    made_again(finished, tmp_path, capsys, "Skarn/scores/scores.jsonl", "scores.jsonl", change)


def made_again(
    finished: Path, tmp_path: Path, capsys: Any, place: str, said: str, change: Callable[[Path], None]
) -> None:
    """The page refuses the changed file by name; the next run says so and brings its lines back."""
    shutil.copytree(finished / "out", tmp_path / "out")
    path = tmp_path / "out" / place
    before = path.read_text()
    change(path)
    assert not path.exists() or path.read_text() != before
    assert playsafe("report", str(tmp_path / "out")) == 2
    assert said in capsys.readouterr().err
    again = [str(finished / "study.yaml"), "--set", f"output_dir={tmp_path / 'out'}"]
    assert playsafe("run", *again) == 0
    assert "changed since" in " ".join(capsys.readouterr().err.split())
    assert sorted(path.read_text().splitlines()) == sorted(before.splitlines())
    assert playsafe("report", str(tmp_path / "out")) == 0


@pytest.mark.slow
def test_weights_that_changed_after_training_are_refused(finished: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    weights = tmp_path / "out" / CELL / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor * 1.01 for name, tensor in load_file(weights).items()}, weights)
    again = [str(finished / "study.yaml"), "--set", f"output_dir={tmp_path / 'out'}"]
    assert playsafe("run", *again, "--set", "evaluation.generation.max_new_tokens=9") == 2
    assert "changed since it was trained: adapter/adapter_model.safetensors" in capsys.readouterr().err


def test_losses_and_rates_are_finite_numbers() -> None:
    for key, value in (
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("weight_decay", float("inf")),
    ):
        with pytest.raises((BadInput, ValueError), match="finite"):
            StudyConfig.model_validate({"training": {key: value}})
