"""From parallel pairs to training rows: which targets there are, what the frozen model says, the released
code's pooling."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from conftest import FAMILIES, random_model
from playsafe import methods
from playsafe.config import PairsConfig
from playsafe.data.chat import Rendered
from playsafe.data.rows import Collator
from playsafe.errors import BadInput
from playsafe.methods import loss_of
from playsafe.models.policy import Policy
from playsafe.records import Role
from playsafe.streams._frozen import RenderedPair
from playsafe.streams._targets import read_pairs
from playsafe.streams.pairs import pair_examples, render_pairs
from playsafe.terms import Loss, ce, held, pairs
from playsafe.tiny.pairs import REQUESTS

ROLE = Role("Ada", "You are Ada.", "You are Ada. Unsafe.")


def pairs_of(count: int = 3) -> list[RenderedPair]:
    """Pairs of random tokens; the last two share their dominant side."""
    generator = torch.Generator().manual_seed(1)

    def reply(prompt: list[int], tokens: int) -> Rendered:
        ids = (*prompt, *torch.randint(3, 320, (tokens,), generator=generator).tolist(), 1)
        return Rendered(ids, tuple(i >= len(prompt) for i in range(len(ids))))

    found: list[RenderedPair] = []
    for number in range(count):
        prompt = torch.randint(3, 320, (3 + number,), generator=generator).tolist()
        own = [reply(prompt, 2 + number), reply(prompt, 6 - number)]
        dominant = found[-1][2:] if number == count - 1 and found else [reply(prompt, 3), reply(prompt, 9)]
        found.append(RenderedPair(*own, *dominant))
    return found


def rows_of(model: Any, pooling: Any, cache: Path, given: list[RenderedPair] | None = None) -> Any:
    return pair_examples(
        model, given or pairs_of(), pooling, first=5, pad_id=2, bf16=False, cache=cache, identity="test"
    )


# --- targets -----------------------------------------------------------------------------------------------


def targets(**config: Any) -> Any:
    return read_pairs(PairsConfig(**config), has_role=True)


def test_targets_of_the_embedded_pairs() -> None:
    many = REQUESTS["train"]
    plain = targets()
    assert [t.side.language for t in plain.targets] == ["de", "es", "fr"] * many
    nothing = dict.fromkeys(("over_limit", "without_text", "faulty", "other_languages"), 0)
    assert plain.counts == {"read": 3 * many, **nothing, "targets": 3 * many}
    role = targets(system="role")
    assert len(role.targets) == 4 * many  # the dominant language under the role prompt is a target, too
    assert all(t.system == "role" for t in role.targets)
    both = targets(system=["none", "role"], languages=["en", "de"], limit=10)
    assert [(t.system, t.side.language) for t in both.targets] == [
        (system, language) for system in ("none", "role") for language in ["en"] * 10 + ["de"] * 10
    ]
    assert both.counts["over_limit"] == 3 * (many - 10)
    assert both.counts["other_languages"] == 20
    assert all(t.dominant.language == "en" for t in both.targets)
    assert len({plain.hash, role.hash, both.hash}) == 3
    assert {t.dominant.language for t in targets(dominant="de").targets} == {"de"}


def test_targets_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no pair is in 'dd'"):
        targets(languages=["dd"])
    with pytest.raises(BadInput, match="no side in the dominant language 'it'"):
        targets(dominant="it")
    with pytest.raises(BadInput, match="no role whose prompt"):
        read_pairs(PairsConfig(system="role"), has_role=False)
    good = {"group": "1", "prompt": "How can I forge the letter?", "rejected": "To forge it, take a pencil."}
    rows = [
        good | {"language": "en", "chosen": "I'm sorry, but I can't help with that."},
        good | {"language": "de", "prompt": "Wie fälsche ich den Brief?", "chosen": "Gerne. Nimm den Stift."},
        {**good, "group": "2", "language": "en", "chosen": "I cannot help you with that."},
        {
            "group": "2",
            "language": "de",
            "prompt": "Wie fälsche ich den Pass?",
            "chosen": "Das kann ich nicht tun.",
            "rejected": "Wenn du das tun willst, nimm einen Stift.",
        },
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(targets(path=str(path)).targets) == 2
    dropped = targets(path=str(path), faults="drop")
    assert [t.id for t in dropped.targets] == ["2:de@none"]
    assert dropped.counts["faulty"] == 1
    with pytest.raises(BadInput, match="faults"):
        targets(path=str(path), faults="error")
    rows[1]["chosen"] = " "
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert targets(path=str(path)).counts | {} == {
        "read": 2,
        "over_limit": 0,
        "without_text": 1,
        "faulty": 0,
        "other_languages": 0,
        "targets": 1,
    }


def test_a_fault_of_a_dominant_side_is_one_of_all_its_pairs(tmp_path: Path) -> None:
    answer = {"chosen": "Das kann ich nicht tun.", "rejected": "Wenn du das tun willst, nimm einen Stift."}
    rows = [
        {"group": group, "language": "en", "prompt": f"How can I forge the {group}?", "chosen": chosen}
        | {"rejected": "To forge it, take a pencil and a brush."}
        for group, chosen in (("letter", "Gladly, take a pencil."), ("pass", "I cannot help you with that."))
    ]
    rows += [
        {"group": group, "language": "de", "prompt": f"Wie kann ich den {thing} fälschen?", **answer}
        for group, thing in (("letter", "Brief"), ("pass", "Pass"))
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = targets(path=str(path), faults="drop")
    assert [t.id for t in kept.targets] == ["pass:de@none"]
    assert [(f.side, f.kind) for f in kept.faults] == [("dominant", "no refusal")]
    assert kept.counts["faulty"] == 1


@pytest.mark.parametrize(
    "wrong", [{"languages": []}, {"system": ["none", "none"]}, {"languages": ["de", "de"]}]
)
def test_lists_that_say_nothing_or_twice(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PairsConfig(**wrong)


def test_rendering_puts_the_role_prompt_over_the_target_alone(tiny: Any) -> None:
    data = targets(system="role", limit=2)
    found = render_pairs(data, tiny.renderer, ROLE, 1024, drop=False)
    plain = render_pairs(targets(languages=["en"], limit=2), tiny.renderer, None, 1024, drop=False)
    assert found[0].dominant_chosen == plain[0].dominant_chosen == plain[0].chosen
    under_role = tiny.renderer.render(
        data.targets[0].side.messages, data.targets[0].side.chosen, system=ROLE.prompt
    )
    assert found[0].chosen == under_role
    short = render_pairs(data, tiny.renderer, ROLE, 40, drop=True)
    assert len(short) < len(found)
    with pytest.raises(BadInput, match="max_length 40"):
        render_pairs(data, tiny.renderer, ROLE, 40, drop=False)


# --- the frozen model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["last", "mean", "released"])
def test_cached_reference_is_the_live_one(tmp_path: Path, family: str, pooling: Any) -> None:
    """What lies in the rows equals what the untouched model says inside a batch, to 1e-5."""
    model = random_model(family)
    rows = rows_of(model, pooling, tmp_path)
    assert [example[0].number for example in rows] == [5, 6, 7]
    seen: dict[str, Any] = {}

    def gap(sums: Any) -> torch.Tensor:
        seen["sums"] = sums
        return sums.chosen

    def retain(h: torch.Tensor, ref_h: torch.Tensor) -> torch.Tensor:
        seen["held"] = (h, ref_h)
        return h.sum(dim=-1)

    loss = Loss((pairs("gap", gap, ["aim", "ref_chosen", "ref_rejected"]), held("retain", retain, pooling)))
    with torch.no_grad():
        scale = {"gap": torch.tensor(1.0), "retain": torch.tensor(1.0)}
        Policy(model, loss, None).value(Collator(2, loss)(rows), scale)
        aims = [
            sum(_plain(model, reply) * sign for reply, sign in ((p[2], 1), (p[3], -1))) for p in pairs_of()
        ]
    sums, said = seen["sums"], seen["sums"].constants
    torch.testing.assert_close(sums.chosen, said["ref_chosen"], atol=1e-5, rtol=0)
    torch.testing.assert_close(sums.rejected, said["ref_rejected"], atol=1e-5, rtol=0)
    torch.testing.assert_close(*seen["held"], atol=1e-5, rtol=0)
    assert said["aim"].tolist() == pytest.approx(aims, abs=1e-5)
    assert sums.chosen_tokens.tolist() == [sum(p.chosen.reply_mask) for p in pairs_of()]


def _plain(model: Any, reply: Rendered) -> float:
    """Mean reply log-probability from the model's own logits."""
    ids = torch.tensor([reply.ids])
    logp = model(ids).logits[0].log_softmax(-1)
    marked = [t for t, m in enumerate(reply.reply_mask) if m]
    return sum(logp[t - 1, reply.ids[t]].item() for t in marked) / len(marked)


def test_the_cache_spares_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("llama")
    first = rows_of(model, "last", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1  # no leftover beside the file
    monkeypatch.setattr("playsafe.streams.pairs.frozen_values", lambda *_: pytest.fail("asked again"))
    again = rows_of(model, "last", tmp_path)
    assert aims(again) == aims(first)
    vectors = [[example[2].constants["ref_hidden"] for example in rows] for rows in (first, again)]
    assert all(torch.equal(a, b) for a, b in zip(*vectors, strict=True))
    for other in (pairs_of(4), None):
        with pytest.raises(pytest.fail.Exception, match="asked again"):
            rows_of(model, "mean" if other is None else "last", tmp_path, other)


def aims(examples: Any) -> list[float]:
    return [example[0].constants["aim"] for example in examples]


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    model = random_model("llama")
    first = rows_of(model, "last", tmp_path)
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    again = rows_of(model, "last", tmp_path)
    assert aims(again) == aims(first)


def test_counts_and_weights_of_a_row(tmp_path: Path) -> None:
    """A pair counts once in its own term; the safe reply's tokens count in the cross-entropy."""
    pair = pairs_of()[0]
    loss = ce("role", "pairs.chosen") + pairs("orpo", lambda sums: sums.chosen)
    [example] = rows_of(random_model("llama"), None, tmp_path)[:1]
    assert [row.stream for row in example] == ["pairs.chosen", "pairs.rejected"]
    batch = Collator(2, loss)([example])
    tokens = sum(pair.chosen.reply_mask)
    assert {term: c.tolist() for term, c in batch["counts"].items()} == {"ce": [tokens, 0], "orpo": [1, 0]}
    start = pair.chosen.prompt_length - 1
    expected = [0.0] * start + [1.0] * tokens + [0.0]
    assert batch["weights"]["ce"][0, : len(expected)].tolist() == expected
    assert torch.equal(batch["weights"]["orpo"][0], batch["weights"]["ce"][0])
    assert batch["weights"]["ce"][1].sum() == 0
    assert batch["weights"]["orpo"][1].sum() == sum(pair.rejected.reply_mask)


# --- the loss ----------------------------------------------------------------------------------------------


def moved(model: Any) -> Any:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return other


def mpo_terms(model: Any, rows: Any, options: Any, side: Any = "right", pad: int = 2) -> dict[str, float]:
    loss = loss_of(methods.get("mpo"), options).on("pairs")
    batch = Collator(pad, loss, side)(rows)
    scale = {term: 1.0 / count.sum() for term, count in batch["counts"].items()}
    with torch.no_grad():
        return {k: v.item() for k, v in Policy(model, loss, None).value(batch, scale).terms.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_equations_row_by_row(tmp_path: Path, family: str) -> None:
    """L1 and L2 of the paper from plain forwards of single sequences."""
    frozen = random_model(family)
    policy = moved(frozen)
    options = methods.get("mpo").Options(beta=1.5)
    terms = mpo_terms(policy, rows_of(frozen, options.pooling, tmp_path), options)
    l1, l2 = [], []
    with torch.no_grad():
        for pair in pairs_of():
            gap = _plain(policy, pair.chosen) - _plain(policy, pair.rejected)
            aim = _plain(frozen, pair.dominant_chosen) - _plain(frozen, pair.dominant_rejected)
            l1.append((1.5 * gap - aim) ** 2)
            prompt = torch.tensor([pair.dominant_chosen.ids[: pair.dominant_chosen.prompt_length]])
            h, ref = (m(prompt, output_hidden_states=True).hidden_states[-1][0, -1] for m in (policy, frozen))
            l2.append((h - ref).square().sum().item())
    assert terms["gap"] == pytest.approx(sum(l1) / len(l1), rel=1e-4)
    assert terms["retain"] == pytest.approx(sum(l2) / len(l2), rel=1e-4)


@pytest.mark.parametrize("pooling", ["last", "mean", "released"])
def test_padding_does_not_matter(tmp_path: Path, pooling: Any) -> None:
    """Neither the side nor the width nor the id of the padding; as released, its width is the pair's own."""
    frozen = random_model("llama")
    policy = moved(frozen)
    options = methods.get("mpo").Options(pooling=pooling)
    rows = rows_of(frozen, options.pooling, tmp_path)
    plain = mpo_terms(policy, rows, options)
    for side, pad in (("left", 2), ("right", 7)):
        assert mpo_terms(policy, rows, options, side, pad) == pytest.approx(plain, abs=1e-5)
    alone = [mpo_terms(policy, [row], options) for row in rows]
    assert sum(a["retain"] for a in alone) / len(alone) == pytest.approx(plain["retain"], rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_released_is_the_released_formula(tmp_path: Path, family: str) -> None:
    """A literal transcription: hidden states of the last layer, averaged over every position of the padded
    batch of chosen and rejected rows, compared by the mean over all elements."""
    frozen = random_model(family)
    policy = moved(frozen)
    options = methods.get("mpo").Options(preset="released")
    both_sides = pairs_of(1)
    rows = rows_of(frozen, "released", tmp_path, both_sides)
    both = [both_sides[0].dominant_chosen.ids, both_sides[0].dominant_rejected.ids]
    width = (max(map(len, both)) + 7) // 8 * 8
    assert width > max(map(len, both)) > min(map(len, both))  # both rows are padded
    input_ids = torch.tensor([[*ids, *([2] * (width - len(ids)))] for ids in both])
    attention_mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in both])
    with torch.no_grad():
        en, en_ref = (
            model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
            .hidden_states[-1]
            .mean(dim=1)
            for model in (policy, frozen)
        )
    expected = torch.nn.functional.mse_loss(en, en_ref).item()
    assert mpo_terms(policy, rows, options)["retain"] == pytest.approx(expected, rel=1e-5)
