"""Training on rows and preference pairs together: the Trainer's steps against naive float64 ones."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import FAMILIES, random_model
from playsafe import methods
from playsafe.config import LoraSettings, TrainingConfig
from playsafe.data.chat import Rendered
from playsafe.data.rows import Example, Row, reply_marks
from playsafe.gap import GapProbe, gaps
from playsafe.methods import loss_of
from playsafe.records import Message, Prompt
from playsafe.rundir import read_jsonl
from playsafe.streams._frozen import RenderedPair
from playsafe.streams.pairs import pair_examples
from playsafe.terms import HeldTerm, PairTerm
from playsafe.training import train

END, PAD = 1, 2


def replies(rng: random.Random, prompt: list[int]) -> Rendered:
    ids = (*prompt, *(rng.randrange(3, 320) for _ in range(rng.randint(2, 7))), END)
    return Rendered(ids, tuple(i >= len(prompt) for i in range(len(ids))))


def pairs_of(count: int = 6) -> list[RenderedPair]:
    rng = random.Random(2)
    prompts = [[rng.randrange(3, 320) for _ in range(rng.randint(2, 6))] for _ in range(2 * count)]
    return [
        RenderedPair(*(replies(rng, prompts[2 * n + which]) for which in (0, 0, 1, 1))) for n in range(count)
    ]


def role_rows(count: int = 4, flagged: bool = False) -> list[Example]:
    rng = random.Random(3)
    found: list[Example] = []
    for number in range(count):
        r = replies(rng, [rng.randrange(3, 320) for _ in range(4)])
        stream = "role.flagged" if flagged else "role"
        found.append((Row(stream, number, r.ids, {"reply": reply_marks(r.reply_mask)}),))
    return found


def settings(**changes: Any) -> TrainingConfig:
    base: dict[str, Any] = {
        "lora": None,
        "optim": "sgd",
        "learning_rate": 0.2,
        "max_grad_norm": 0.0,
        "max_steps": 2,
        "per_device_train_batch_size": 10,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
    }
    return TrainingConfig(**(base | changes))


def trained(tmp: Path, model: Any, name: str, options: Any, config: TrainingConfig, **more: Any) -> Any:
    method = methods.get(name)
    rows = role_rows()
    held = [term for term in loss_of(method, options) if isinstance(term, HeldTerm)]
    rows += pair_examples(
        model,
        pairs_of(),
        held[0].asks["pooling"] if held else None,
        first=len(rows),
        pad_id=PAD,
        bf16=False,
        cache=tmp / "cache",
        identity="test",
    )
    return train(
        model,
        method,
        options,
        rows,
        config,
        tmp / "run",
        seed=0,
        pad_id=PAD,
        end_of_turn=END,
        second_model=lambda: pytest.fail("a reference model was loaded"),
        **more,
    )


def naive_steps(model: Any, options: Any, steps: int, lr: float) -> Any:
    """CE over reply tokens + L1 + weight · L2, each sequence alone, in float64, from the equations."""
    model = copy.deepcopy(model).double()
    frozen = copy.deepcopy(model)

    def mean(net: Any, reply: Rendered) -> Any:
        logp = net(torch.tensor([reply.ids])).logits[0].log_softmax(-1)
        marked = [t for t, m in enumerate(reply.reply_mask) if m]
        return sum(logp[t - 1, reply.ids[t]] for t in marked) / len(marked)

    def last(net: Any, reply: Rendered) -> Any:
        prompt = torch.tensor([reply.ids[: reply.prompt_length]])
        return net(prompt, output_hidden_states=True).hidden_states[-1][0, -1]

    for _ in range(steps):
        ce, tokens, l1, l2 = 0.0, 0, [], []
        for (row,) in role_rows():
            logp = model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
            marked = [t for t, w in enumerate(row.marks["reply"]) if w]
            ce, tokens = ce - sum(logp[t, row.ids[t + 1]] for t in marked), tokens + len(marked)
        for pair in pairs_of():
            with torch.no_grad():
                aim = mean(frozen, pair.dominant_chosen) - mean(frozen, pair.dominant_rejected)
                ref = last(frozen, pair.dominant_chosen)
            l1.append((options.beta * (mean(model, pair.chosen) - mean(model, pair.rejected)) - aim) ** 2)
            l2.append((last(model, pair.dominant_chosen) - ref).square().sum())
        loss = ce / tokens + options.weight * sum(l1) / len(l1) + options.retention * sum(l2) / len(l2)
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= lr * p.grad
                p.grad = None
    return model


def distance(a: Any, b: Any) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


@pytest.mark.parametrize("family", FAMILIES)
def test_mpo_equals_naive_float64(tmp_path: Path, family: str) -> None:
    options = methods.get("mpo").Options(beta=1.5, weight=0.7, retention=0.01)
    model = random_model(family)
    start = copy.deepcopy(model)
    expected = naive_steps(model, options, 2, 0.02)
    result = trained(tmp_path, model, "mpo", options, settings(learning_rate=0.02))
    assert distance(start, expected) > 1e-3
    assert distance(model, expected) < 2e-5
    assert result["reference"] == "none"
    assert set(result["final"]) == {"loss", "ce", "gap", "retain"}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "accumulation"), [(5, 2), (3, 4), (1, 10)])
def test_a_step_may_be_cut_anywhere(tmp_path: Path, size: int, accumulation: int) -> None:
    options = methods.get("mpo").Options(retention=0.01)
    whole, cut = random_model("llama"), random_model("llama")
    one = settings(learning_rate=0.02, max_steps=1)
    trained(tmp_path / "a", whole, "mpo", options, one)
    parts = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation}
    trained(tmp_path / "b", cut, "mpo", options, one.model_copy(update=parts))
    assert distance(whole, cut) < 1e-6


def terms_of(name: str) -> Any:
    return loss_of(methods.get(name), methods.get(name).Options())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in methods.names() if any(isinstance(t, PairTerm) for t in terms_of(n))]
)
def test_every_pair_method_trains_an_adapter(tmp_path: Path, name: str) -> None:
    options = methods.get(name).Options()
    config = settings(
        lora=LoraSettings(r=4, lora_alpha=8), optim="adamw_torch", learning_rate=1e-2, max_steps=30
    )
    trained(tmp_path, random_model("llama", initializer_range=0.1), name, options, config)
    log = read_jsonl(tmp_path / "run" / "train.jsonl")
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").exists()


# --- the gap as a probe ------------------------------------------------------------------------------------


def prompts() -> list[Prompt]:
    texts = (("Hallo!", "Nein.", "Gern, und so geht es."), ("Was?", "Das kann ich nicht.", "So."))
    return [
        Prompt(f"p:{n}", "p", (Message("user", user),), (safe, unsafe))
        for n, (user, safe, unsafe) in enumerate(texts)
    ]


def test_gaps_are_the_definition(tiny: Any) -> None:
    found = gaps(tiny.model, tiny.renderer, prompts(), "You are Ada.")
    for prompt, gap in zip(prompts(), found, strict=True):
        means = []
        for reply in prompt.references:
            row = tiny.renderer.render(prompt.messages, reply, system="You are Ada.")
            with torch.no_grad():
                logp = tiny.model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
            marked = [t for t, m in enumerate(row.reply_mask) if m]
            means.append(sum(logp[t - 1, row.ids[t]].item() for t in marked) / len(marked))
        assert gap == pytest.approx(means[0] - means[1], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mpo", "sarft"])
def test_the_probe_writes_a_line_and_changes_nothing(tmp_path: Path, tiny: Any, name: str) -> None:
    """Before the first step and after every second one; weights end the same to the bit."""
    options = methods.get(name).Options(**({"subset": "all"} if name == "sarft" else {}))
    probe = GapProbe(tiny.renderer, {"gap-de": (prompts(), None), "gap-de@role": (prompts(), "You are Ada.")})
    dropout = LoraSettings(r=4, lora_dropout=0.2)
    config = settings(lora=dropout, max_steps=5, gap_steps=2, optim="adamw_torch", learning_rate=1e-2)
    logs, adapters = [], []
    for gap_probe in (probe, None):
        model = copy.deepcopy(tiny.model)
        place = tmp_path / str(gap_probe is None)
        if name == "mpo":
            trained(place, model, name, options, config, gaps=gap_probe)
        else:
            train(
                model,
                methods.get(name),
                options,
                role_rows(flagged=True),
                config,
                place / "run",
                seed=0,
                pad_id=PAD,
                end_of_turn=END,
                gaps=gap_probe,
            )
        logs.append(read_jsonl(place / "run" / "train.jsonl"))
        adapters.append((place / "run" / "adapter" / "adapter_model.safetensors").read_bytes())
    assert adapters[0] == adapters[1]
    measured = {line["step"]: line for line in logs[0] if "gap:gap-de" in line}
    assert list(measured) == [0, 2, 4]
    assert measured[0]["gap:gap-de@role"] != measured[0]["gap:gap-de"]
    assert measured[0]["gap:gap-de"] != measured[4]["gap:gap-de"]
    expected = sum(gaps(tiny.model, tiny.renderer, prompts(), None)) / 2
    assert measured[0]["gap:gap-de"] == pytest.approx(expected, abs=1e-5)
    assert [line["step"] for line in logs[1]] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_the_first_probe_stands_once(tmp_path: Path, tiny: Any) -> None:
    """A run that was killed before its first checkpoint starts its log anew."""
    options = methods.get("mpo").Options()
    probe = GapProbe(tiny.renderer, {"gap-de": (prompts(), None)})
    config = settings(lora=LoraSettings(r=4), max_steps=1, gap_steps=1, optim="adamw_torch")
    for _ in range(2):
        trained(tmp_path, copy.deepcopy(tiny.model), "mpo", options, config, gaps=probe)
    log = read_jsonl(tmp_path / "run" / "train.jsonl")
    assert [line["step"] for line in log] == [0, 1]
