"""The Trainer's step against a naive float64 one: denominators, references, padding, ranks.

With plain SGD and no clipping a step moves the weights by −lr · gradient, so weights compare gradients.
"""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import FAMILIES, ROOT, random_model
from playsafe import methods
from playsafe.config import LoraSettings, MethodConfig, TrainingConfig
from playsafe.data.rows import Collator, Example, Row, reply_marks
from playsafe.errors import BadInput, CheckFailed
from playsafe.methods import Scored, loss_of, sarft
from playsafe.models.policy import Found, Policy
from playsafe.models.reference import Bank, SecondModel
from playsafe.rundir import read_jsonl
from playsafe.training import train

END = 1


def rows(count: int = 8) -> list[Example]:
    """Every third row is flagged."""
    rng = random.Random(1)
    made: list[Example] = []
    for number in range(count):
        x, y = rng.randint(2, 9), rng.randint(2, 7)
        ids = [rng.randrange(3, 320) for _ in range(x + y)] + [END]
        mask = [False] * x + [True] * (y + 1)
        stream = "role" if number % 3 else "role.flagged"
        made.append((Row(stream, number, tuple(ids), {"reply": reply_marks(mask)}),))
    return made


def collator(options: sarft.SaRFTOptions, side: Any = "right") -> Collator:
    return Collator(2, loss_of(sarft.METHOD, options), side)


def policy(model: Any, options: sarft.SaRFTOptions, reference: Any) -> Policy:
    return Policy(model, loss_of(sarft.METHOD, options), SecondModel(reference))


def settings(**changes: Any) -> TrainingConfig:
    base: dict[str, Any] = {
        "lora": None,
        "optim": "sgd",
        "learning_rate": 0.5,
        "max_grad_norm": 0.0,
        "max_steps": 2,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
    }
    return TrainingConfig(**(base | changes))


def run(
    tmp: Path,
    model: Any,
    options: sarft.SaRFTOptions,
    config: TrainingConfig,
    data: list[Example] | None = None,
) -> Any:
    original = copy.deepcopy(model)
    train(
        model,
        sarft.METHOD,
        options,
        data or rows(),
        config,
        tmp,
        seed=0,
        pad_id=2,
        end_of_turn=END,
        second_model=lambda: original,
    )
    return model


def naive_steps(model: Any, options: sarft.SaRFTOptions, steps: int, lr: float) -> Any:
    """The same updates from full float64 logits, row by row, from the equation alone."""
    model = copy.deepcopy(model).double()
    reference = copy.deepcopy(model)
    data = rows()
    for _ in range(steps):
        ce_sum, kl_sum, ce_count, kl_count = 0.0, 0.0, 0, 0
        for (row,) in data:
            ids = torch.tensor([row.ids])
            logp = torch.log_softmax(model(ids).logits[0], dim=-1)
            with torch.no_grad():
                ref = torch.log_softmax(reference(ids).logits[0], dim=-1)
            predicting = [t for t, w in enumerate(row.marks["reply"]) if w]
            ce_sum = ce_sum - sum(logp[t, row.ids[t + 1]] for t in predicting)
            ce_count += len(predicting)
            if row.number % 3 == 0:
                a, b = (ref, logp) if options.direction == "forward" else (logp, ref)
                kl_sum = kl_sum + sum((a[t].exp() * (a[t] - b[t])).sum() for t in predicting)
                kl_count += len(predicting)
            elif options.denominator == "all":
                kl_count += len(predicting)
        (ce_sum / ce_count + options.lam * kl_sum / kl_count).backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= lr * p.grad
                p.grad = None
    return model


def distance(a: Any, b: Any) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_equals_naive_float64(tmp_path: Path, family: str, direction: str) -> None:
    options = sarft.SaRFTOptions(lam=2.0, direction=direction)
    start = random_model(family)
    trained = run(tmp_path, copy.deepcopy(start), options, settings())
    assert distance(trained, naive_steps(start, options, 2, 0.5)) < 2e-5
    assert distance(trained, start) > 1e-2  # the comparison has something to compare


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "accumulation"),
    [(8, 1), (2, 4), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((1, 8), (4, 2)))],
)
@pytest.mark.parametrize("denominator", ["subset", "all"])
def test_accumulation_and_split_change_nothing(
    tmp_path: Path, batch: int, accumulation: int, denominator: str
) -> None:
    options = sarft.SaRFTOptions(lam=2.0, denominator=denominator)
    start = random_model("llama")
    config = settings(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation)
    trained = run(tmp_path, copy.deepcopy(start), options, config)
    assert distance(trained, naive_steps(start, options, 2, 0.5)) < 2e-5
    log = read_jsonl(tmp_path / "train.jsonl")
    whole = run(tmp_path / "whole", copy.deepcopy(start), options, settings()) and read_jsonl(
        tmp_path / "whole" / "train.jsonl"
    )
    for a, b in zip(log, whole, strict=True):  # the logged terms are those of the whole step
        assert [a["ce"], a["kl"]] == pytest.approx([b["ce"], b["kl"]], abs=1e-5)
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert log[1]["kl"] > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_bank_equals_second_model(tmp_path: Path, family: str) -> None:
    options = sarft.SaRFTOptions(lam=2.0)
    start = random_model(family)
    bank = run(tmp_path / "bank", copy.deepcopy(start), options, settings(reference="bank", max_steps=4))
    second = run(tmp_path / "second", copy.deepcopy(start), options, settings(reference="model", max_steps=4))
    assert distance(bank, second) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", [FAMILIES[0], *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES[1:])]
)
def test_adapter_off_equals_second_model(tmp_path: Path, family: str) -> None:
    options = sarft.SaRFTOptions(lam=2.0)
    start = random_model(family)
    lora = LoraSettings(r=4, lora_alpha=8, lora_dropout=0.0)
    finals = []
    for reference in ("adapter_off", "model", "bank"):
        out = tmp_path / reference
        handed_back = run(
            out, copy.deepcopy(start), options, settings(lora=lora, reference=reference, max_steps=4)
        )
        assert distance(handed_back, start) == 0  # the adapter is gone, the weights are the original's
        assert not handed_back.training
        finals.append([line["loss"] for line in read_jsonl(out / "train.jsonl")])
        assert (out / "adapter" / "adapter_model.safetensors").exists()
        assert not list(out.rglob("*.bin"))
    assert finals[0] == pytest.approx(finals[1], abs=1e-5)
    assert finals[0] == pytest.approx(finals[2], abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side_changes_nothing(side: str) -> None:
    options = sarft.SaRFTOptions(lam=2.0)
    model, reference = random_model("llama"), random_model("qwen2", tie_word_embeddings=False)
    view = policy(model, options, reference)
    scale = {"ce": torch.tensor(0.1), "kl": torch.tensor(0.2)}
    loss = view.value(collator(options, side)(rows()), scale)
    alone = [view.value(collator(options)([example]), scale) for example in rows()]
    for term in ("ce", "kl"):
        assert loss.terms[term].item() == pytest.approx(
            sum(x.terms[term].item() for x in alone if term in x.terms), rel=1e-5
        )
    assert loss.total.item() == pytest.approx(loss.terms["ce"].item() + loss.terms["kl"].item(), rel=1e-6)


def test_released_preset_is_the_released_formula(tmp_path: Path) -> None:
    """(1/B) Σ_i 1/(n_i+1e-5) [Σ_{t∈Y_i} −log p_θ + β m_i Σ_{t: attn=1} KL(p_ref ‖ p_θ)], transcribed."""
    options = sarft.SaRFTOptions(lam=0.5, preset="released")
    model, other = random_model("llama"), random_model("llama", initializer_range=0.2)
    data = rows()
    batch = collator(options)(data)
    count = float(len(data))
    scale = {"ce": torch.tensor(1 / count), "kl": torch.tensor(0.5 / count)}
    ours = policy(model, options, other).value(batch, scale)
    assert [float(batch["counts"][t].sum()) for t in ("ce", "kl")] == [count, count]
    expected = 0.0
    for (row,) in data:
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            theta, ref = model(ids).logits[0], other(ids).logits[0]
        n = len(row.ids)
        nll = -torch.log_softmax(theta, -1)[torch.arange(n - 1), ids[0, 1:]]
        role = (nll * torch.tensor(row.marks["reply"][:-1])).sum() / (n + 1e-5)
        kl = torch.nn.functional.kl_div(theta.log_softmax(-1), ref.softmax(-1), reduction="none").sum(-1)
        safe = kl.sum() / (n + 1e-5) * (1.0 if row.number % 3 == 0 else 0.0)
        expected += (role + 0.5 * safe).item() / count
    assert ours.total.item() == pytest.approx(expected, rel=1e-5)


def test_all_tokens_option_covers_the_prompt() -> None:
    row = Row("role.flagged", 0, (5, 6, 7, END), {"reply": [0.0, 1.0, 1.0, 0.0]})
    batch = collator(sarft.SaRFTOptions(tokens="all"))([(row,)])
    assert {term: w[0].tolist() for term, w in batch["weights"].items()} == {
        "ce": [0, 1, 1, 0],
        "kl": [1, 1, 1, 0],
    }
    assert {term: c.tolist() for term, c in batch["counts"].items()} == {"ce": [2], "kl": [3]}


def test_resume_from_a_checkpoint_equals_an_undisturbed_run(tmp_path: Path) -> None:
    """The run is broken off by an exception after a checkpoint; a half-written checkpoint lies beside it."""
    options = sarft.SaRFTOptions(lam=2.0)
    start = random_model("llama")
    config = settings(
        optim="adamw_torch", learning_rate=1e-2, max_steps=9, save_steps=3, per_device_train_batch_size=2
    )
    whole = run(tmp_path / "whole", copy.deepcopy(start), options, config)

    def stop(step: int, total: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            copy.deepcopy(start),
            sarft.METHOD,
            options,
            rows(),
            config,
            tmp_path / "cut",
            seed=0,
            pad_id=2,
            end_of_turn=END,
            progress=stop,
        )
    (tmp_path / "cut" / "checkpoint-4").mkdir()
    again = run(tmp_path / "cut", copy.deepcopy(start), options, config)
    assert distance(whole, again) == 0
    logs = [read_jsonl(tmp_path / name / "train.jsonl") for name in ("whole", "cut")]
    assert [line["step"] for line in logs[1]] == list(range(1, 10))
    assert [line["loss"] for line in logs[0]] == [line["loss"] for line in logs[1]]


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    """DDP over gloo: both ranks end with the weights of the single-process run."""
    script = tmp_path / "ddp.py"
    script.write_text(
        "import sys, torch; torch.set_num_threads(1)\n"
        f"sys.path[:0] = [{str(ROOT / 'tests')!r}, {str(ROOT / 'tests' / 'unit')!r}]\n"
        "from pathlib import Path\n"
        "from test_training import *\n"
        "config = settings(per_device_train_batch_size=2, gradient_accumulation_steps=2,"
        " extra={'ddp_backend': 'gloo', 'ddp_find_unused_parameters': False})\n"
        "import os; out = Path(sys.argv[1])\n"
        "model = run(out, random_model('llama'), sarft.SaRFTOptions(lam=2.0), config)\n"
        "torch.save(model.state_dict(), out / f'rank{os.environ[\"RANK\"]}.pt')\n"
        "torch.distributed.destroy_process_group()\n"
        "os._exit(0)\n"  # the group's threads may abort the process at an ordinary end
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29517"]
    done = subprocess.run([*command, str(script), str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = naive_steps(random_model("llama"), sarft.SaRFTOptions(lam=2.0), 2, 0.5)
    for rank in (0, 1):
        model = random_model("llama")
        model.load_state_dict(torch.load(tmp_path / f"rank{rank}.pt", weights_only=True))
        assert distance(model, expected) < 2e-5
    assert [line["step"] for line in read_jsonl(tmp_path / "train.jsonl")] == [1, 2]


class _Wrong(sarft.SaRFT):
    """A method whose reference term starts at 1: the step-0 check must stop it."""

    def step(self, policy: Any, batch: Any, scale: Any, options: Any) -> Found:
        found = super().step(policy, batch, scale, options)
        return Found(found.total, found.terms | {"kl": torch.tensor(1.0)})


def test_checks_stop_a_run(tmp_path: Path) -> None:
    options = sarft.SaRFTOptions(lam=2.0)
    data, config = rows(), settings()
    common: dict[str, Any] = {"seed": 0, "pad_id": 2, "end_of_turn": END}
    with pytest.raises(CheckFailed, match="before the first update"):
        train(random_model("llama"), _Wrong(), options, data, config, tmp_path / "a", **common)
    with pytest.raises(CheckFailed, match="ends the turn"):
        train(
            random_model("llama"),
            sarft.METHOD,
            options,
            data,
            config,
            tmp_path / "b",
            **(common | {"end_of_turn": 7}),
        )
    with pytest.raises(CheckFailed, match="no row to train"):
        train(random_model("llama"), sarft.METHOD, options, [], config, tmp_path / "c", **common)
    frozen = settings(learning_rate=1e-30)
    with pytest.raises(CheckFailed, match="below the resolution"):
        train(random_model("llama"), sarft.METHOD, options, data, frozen, tmp_path / "d", **common)
    hot = settings(learning_rate=1e30, max_steps=4)
    with pytest.raises(CheckFailed, match=r"is nan|is inf"):
        train(random_model("llama"), sarft.METHOD, options, data, hot, tmp_path / "e", **common)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora": {"init_lora_weights": "pissa"}}, "changes the base weights"),
        ({"lora": {"target_modules": ["lm_head"]}}, "lm_head"),
        ({"lora": {"target_modules": ["nonsense"]}}, "nonsense"),
        ({"lora": None, "reference": "adapter_off"}, "needs LoRA"),
        ({"extra": {"learning_rat": 1}}, "Did you mean 'learning_rate'"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    options = sarft.SaRFTOptions()
    with pytest.raises(BadInput, match=message):
        run(tmp_path, random_model("llama"), options, settings(**changes))


def test_subset_rules() -> None:
    ids = [f"r{i}" for i in range(10)]
    scored = Scored({i: (n - 6.5) / 5 for n, i in enumerate(ids)}, 0.0)
    chosen = {
        rule: sarft.METHOD.select(ids, scored, sarft.SaRFTOptions(subset=rule), 3)
        for rule in ("score", "random", "flip", "all", "none")
    }
    assert chosen["score"].ids == {"r7", "r8", "r9"}
    assert chosen["score"].share == 0.3
    assert chosen["flip"].ids == set(ids) - {"r7", "r8", "r9"}
    assert len(chosen["random"].ids) == 3
    assert (len(chosen["all"].ids), len(chosen["none"].ids)) == (10, 0)
    with pytest.raises(BadInput, match="no score"):
        sarft.METHOD.select(ids, Scored({}, 0.0), sarft.SaRFTOptions(), 0)


def test_unknown_options_name_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean 'direction'"):
        MethodConfig(name="sarft", options={"directon": "forward"}).parsed()
    with pytest.raises(BadInput, match="Did you mean 'sarft'"):
        methods.get("saft")


def test_bank_gives_each_row_its_own_states() -> None:
    options = sarft.SaRFTOptions()
    model = random_model("llama")
    collate, data = collator(options), rows()
    bank = Bank(model, [collate(data[:5]), collate(data[5:])], ["kl"])
    batch = collate([data[6], data[1], data[3]])
    mask = batch["weights"]["kl"] != 0
    chosen = torch.tensor([0, 2])
    live = SecondModel(model).hidden(model, batch, "kl", chosen, mask[chosen])
    assert torch.allclose(bank.hidden(model, batch, "kl", chosen, mask[chosen]), live, atol=1e-5)


def test_train_log_is_json_lines(tmp_path: Path) -> None:
    run(tmp_path, random_model("llama"), sarft.SaRFTOptions(), settings(max_steps=3))
    lines = (tmp_path / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
    assert all(json.loads(line)["learning_rate"] == 0.5 for line in lines)
