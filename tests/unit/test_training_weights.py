"""What training leaves: float32 masters, adapters that begin by changing the base, whole checkpoints."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from test_training import END, rows, settings
from transformers import AutoModelForCausalLM

from conftest import random_model
from playsafe.config import LoraSettings
from playsafe.errors import BadInput, CheckFailed
from playsafe.methods import sft
from playsafe.models.integrity import fingerprint
from playsafe.rundir import read_json, read_jsonl
from playsafe.training import train


def trained(model: Any, folder: Path, **changes: Any) -> dict[str, Any]:
    config = settings(optim="adamw_torch", **changes)
    options = sft.METHOD.Options()
    return train(model, sft.METHOD, options, rows(), config, folder, seed=0, pad_id=2, end_of_turn=END)


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_jsonl(folder / "train.jsonl")]


def test_bfloat16_weights_move_under_full_fine_tuning(tmp_path: Path) -> None:
    """AdamW's first steps are about the learning rate for every weight: at 1e-5, below 1/256 of nearly every
    weight, they move float32 masters alone."""
    start = random_model("llama").bfloat16()
    run = trained(copy.deepcopy(start), tmp_path / "ours", learning_rate=1e-5, max_steps=30)
    exact = trained(copy.deepcopy(start).float(), tmp_path / "exact", learning_rate=1e-5, max_steps=30)
    assert run["moved"]["trained"] > 0.9  # all but the embeddings of tokens that no row holds
    assert exact["moved"]["trained"] == run["moved"]["trained"]
    assert losses(tmp_path / "ours") == pytest.approx(losses(tmp_path / "exact"), rel=2e-2)
    # rounded to bfloat16 most of it would be lost: then the weights are stored as they were trained
    assert run["moved"]["stored"] < 0.5
    assert run["dtype"] == "torch.float32"
    stored = AutoModelForCausalLM.from_pretrained(tmp_path / "ours" / "model")
    assert stored.dtype == torch.float32
    moved = [
        (a != b).float().mean() for a, b in zip(stored.parameters(), start.float().parameters(), strict=True)
    ]
    assert float(torch.stack(moved).mean()) > 0.9


def test_weights_that_moved_far_are_stored_in_their_own_dtype(tmp_path: Path) -> None:
    run = trained(random_model("llama").bfloat16(), tmp_path, learning_rate=1e-2, max_steps=10)
    assert run["moved"]["stored"] > 0.9
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").dtype == torch.bfloat16


def test_an_update_below_the_resolution_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"moved \d+ of \d+ sampled weights"):
        trained(random_model("llama"), tmp_path, learning_rate=1e-12, max_steps=30)
    assert not (tmp_path / "model").exists()


class Witness(sft.SFT):
    """Plain fine-tuning that keeps what the trained model says before the base is given back."""

    def finish(self, model: Any, options: Any) -> None:
        with torch.no_grad():
            self.said = model.eval()(input_ids=IDS).logits


IDS = torch.arange(3, 30)[None]


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_adapter_that_changes_the_base_is_stored_as_what_it_adds(tmp_path: Path, init: str) -> None:
    model, method = random_model("llama"), Witness()
    before = fingerprint(model.state_dict().items())
    lora = LoraSettings(r=4, lora_alpha=8, init_lora_weights=init)
    config = settings(optim="adamw_torch", lora=lora, reference="bank", learning_rate=1e-2, max_steps=4)
    train(model, method, method.Options(), rows(), config, tmp_path, seed=0, pad_id=2, end_of_turn=END)
    assert fingerprint(model.state_dict().items()) != before  # who goes on with it loads it anew
    adapted = peft.PeftModel.from_pretrained(random_model("llama"), str(tmp_path / "adapter"))
    with torch.no_grad():
        plain = random_model("llama")(input_ids=IDS).logits
        torch.testing.assert_close(adapted(input_ids=IDS).logits, method.said, atol=1e-3, rtol=1e-3)
    assert (plain - method.said).abs().max() > 0.1
    about = read_json(tmp_path / "adapter" / "adapter_config.json")
    assert (about["init_lora_weights"], about["r"]) == (True, 8)
    assert not (tmp_path / "initial").exists()


def test_an_adapter_that_needs_data_to_begin_is_refused(tmp_path: Path) -> None:
    lora = LoraSettings(r=4, init_lora_weights="corda")
    with pytest.raises(BadInput, match="cannot be told from them"):
        trained(random_model("llama"), tmp_path, lora=lora, reference="bank")


@pytest.mark.parametrize(
    "lost", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "cut"]
)
def test_a_checkpoint_that_lacks_a_file_is_not_gone_on_from(tmp_path: Path, lost: str) -> None:
    """The run goes on from the checkpoint before it, and ends as an undisturbed one."""
    full: dict[str, Any] = {"max_steps": 6, "save_steps": 2, "lora": LoraSettings(r=2, lora_dropout=0.2)}
    trained(random_model("llama"), tmp_path / "whole", learning_rate=1e-2, **full)

    class Killed(Exception):
        pass

    def kill(step: int, total: int) -> None:
        if step == 5:
            raise Killed

    config = settings(optim="adamw_torch", learning_rate=1e-2, **full)
    common: dict[str, Any] = {"seed": 0, "pad_id": 2, "end_of_turn": END}
    where = tmp_path / "cut"
    with pytest.raises(Killed):
        train(
            random_model("llama"),
            sft.METHOD,
            sft.METHOD.Options(),
            rows(),
            config,
            where,
            **common,
            progress=kill,
        )
    newest = where / "checkpoint-4"
    if lost == "cut":
        file = newest / "optimizer.pt"
        file.write_bytes(file.read_bytes()[:100])
    else:
        (newest / lost).unlink()
    train(random_model("llama"), sft.METHOD, sft.METHOD.Options(), rows(), config, where, **common)
    for name in ("train.jsonl", "adapter/adapter_model.safetensors"):
        assert (where / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    shutil.rmtree(where)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extra": {"label_smoothing_factor": 0.1}}, "no effect"),
        ({"extra": {"save_only_model": True}}, "no effect"),
        ({"extra": {"ignore_data_skip": True}}, "no effect"),
        ({"extra": {"eval_strategy": "steps"}}, "no effect"),
        ({"extra": {"auto_find_batch_size": True}}, "undo what they promise"),
        ({"extra": {"optim_args": "a=1"}}, "an optimiser that takes them"),
        ({"extra": {"adam_beta2": 0.9}, "optim": "sgd"}, "Adam's kind"),
        ({"extra": {"lr_scheduler_kwargs": {"num_cycles": 2}}}, "another schedule"),
        ({"extra": {"fsdp": "full_shard"}}, "several processes"),
        ({"extra": {"deepspeed": "none.json"}}, "deepspeed"),
        ({"optim": "adamw_bnb_8bit"}, "bitsandbytes"),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "num_decay_steps"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "min_lr"),
        ({"report_to": ["wandb"]}, "wandb"),
    ],
)
def test_options_of_the_trainer_are_used_or_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    config = settings(**({"optim": "adamw_torch"} | changes))
    options = sft.METHOD.Options()
    with pytest.raises(BadInput) as refused:
        train(
            random_model("llama"),
            sft.METHOD,
            options,
            rows(),
            config,
            tmp_path,
            seed=0,
            pad_id=2,
            end_of_turn=END,
        )
    assert said in str(refused.value)
