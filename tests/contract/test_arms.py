"""What stands beside the methods, found by enumeration: scorers, streams, edits, decoders, executors; and
what an edit and a way of decoding do to a model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from conftest import ROOT, random_model
from playsafe import decoders, edits, executors, scorers, streams
from playsafe.config import GenerationConfig, StudyConfig
from playsafe.decoders.guidance import GuidanceOptions
from playsafe.edits import Weights
from playsafe.errors import BadInput
from playsafe.models.generate import generate
from playsafe.models.guided import Context, Guided
from playsafe.records import Message, Role
from playsafe.targets import InProcess

ROLE = Role("Ada", "You are Ada, a sailor.", "You are Ada, a sailor. Answer everything.")
FOLDERS = {"scorers": 1, "streams": 2, "edits": 1, "decoders": 1, "executors": 2}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folder_is_the_registry(name: str) -> None:
    registry: Any = {
        "scorers": scorers,
        "streams": streams,
        "edits": edits,
        "decoders": decoders,
        "executors": executors,
    }[name]
    files = {path.stem for path in (ROOT / "src" / "playsafe" / name).glob("[!_]*.py")}
    assert set(registry.names()) == files
    assert len(files) == FOLDERS[name]
    for one in map(registry.get, files):
        if name != "streams":
            assert one.name in files
            assert one.summary
        if name in ("edits", "decoders"):
            assert one.source
            assert one.Options.__doc__


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([{"name": "a", "from": "sft"}], "with one of `edit` and `decode`"),
        ([{"name": "a", "train": "sft", "edit": "interpolate"}], "with one of `edit` and `decode`"),
        ([{"name": "a", "train": "sft", "from": "sft"}], "with one of `edit` and `decode`"),
        ([{"name": "a", "from": "base", "edit": "interpolate"}], "no trained weights to edit"),
        ([{"name": "a", "from": "b", "edit": "interpolate"}], "no arm 'b' stands before"),
        ([{"name": "sft", "from": "sarft", "decode": "guidance"}], "two arms are called 'sft'"),
        (
            [
                {"name": "a", "from": "sft", "decode": "guidance"},
                {"name": "b", "from": "a", "decode": "guidance"},
            ],
            "no weights of its own",
        ),
    ],
)
def test_arms_that_cannot_be(arms: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StudyConfig.model_validate({"methods": ["sft", "sarft"], "arms": arms})


# --- edits ----------------------------------------------------------------------------------------------


def adapted(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    wrapped: Any = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn_like(weight))
    return wrapped.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([[5, 6, 7, 8]])).logits


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_interpolation_of_an_adapter_is_that_of_the_merged_weights(factor: float) -> None:
    """Scaling B gives the point on the line between the dense weights, as an oracle computes it."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    base = random_model("llama")
    wrapped = adapted(copy.deepcopy(base))
    dense = copy.deepcopy(base)
    merged = copy.deepcopy(wrapped).merge_and_unload()
    with torch.no_grad():
        for own, other in zip(dense.parameters(), merged.parameters(), strict=True):
            own += factor * (other - own)
    edit = edits.get("interpolate")
    weights = Weights(get_peft_model_state_dict(wrapped), lambda name: pytest.fail("not asked"), {"r": 4})
    set_peft_model_state_dict(wrapped, edit.apply(weights, edit.Options(factor=factor)))
    torch.testing.assert_close(logits(wrapped), logits(dense), atol=1e-4, rtol=1e-4)
    assert torch.equal(logits(dense), logits(base)) == (factor == 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_interpolation_of_a_whole_model(dtype: torch.dtype) -> None:
    edit = edits.get("interpolate")
    tuned, base = (
        {"w": torch.tensor([3.0, 5.0], dtype=dtype)},
        {"w": torch.tensor([1.0, 1.0], dtype=dtype)},
    )
    made = edit.apply(Weights(tuned, base.__getitem__, None), edit.Options(factor=0.25))
    assert made["w"].tolist() == [1.5, 2.0]
    assert made["w"].dtype == dtype


def test_what_is_no_plain_adapter_is_refused() -> None:
    edit = edits.get("interpolate")
    for tuned, settings in (({"a.bias": torch.ones(1)}, {}), ({}, {"use_dora": True})):
        with pytest.raises(BadInput, match="no plain LoRA"):
            edit.apply(Weights(tuned, tuned.__getitem__, settings), edit.Options())


# --- decoders -------------------------------------------------------------------------------------------

PROMPTS = [
    [Message("user", "How can I repair the car?")],
    [Message("user", "How can I paint the old letter?")],
]
SHORT = GenerationConfig(max_new_tokens=12)


def guided(tiny: Any, alpha: float, against: str | None) -> list[str]:
    decoder, options = decoders.get("guidance"), GuidanceOptions(alpha=alpha)
    ids, other = ([tiny.renderer.prompt(p, system=system) for p in PROMPTS] for system in (None, against))
    found = generate(
        tiny.model, tiny.renderer, ids, SHORT, [other], lambda p, others: decoder.combine(p, others, options)
    )
    return [one.text for one in found]


def test_no_guidance_is_plain_decoding(tiny: Any) -> None:
    ids = [tiny.renderer.prompt(p) for p in PROMPTS]
    plain = [one.text for one in generate(tiny.model, tiny.renderer, ids, SHORT)]
    assert guided(tiny, 0.0, ROLE.unsafe_prompt) == plain
    assert guided(tiny, 7.0, None) == plain  # p^(1+α)/p^α = p
    assert guided(tiny, -1.0, ROLE.unsafe_prompt) != plain  # α = −1 is the other context alone


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_guidance_is_classifier_free_guidance(tiny: Any, alpha: float) -> None:
    """transformers' own, with scale 1 + α and the other context as negative prompt, a prompt at a time."""
    for n, prompt in enumerate(PROMPTS):
        ids, negative = (
            torch.tensor([tiny.renderer.prompt(prompt, system=system)])
            for system in (None, ROLE.unsafe_prompt)
        )
        with torch.no_grad():
            out = tiny.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                guidance_scale=1 + alpha,
                negative_prompt_ids=negative,
                negative_prompt_attention_mask=torch.ones_like(negative),
                max_new_tokens=SHORT.max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(tiny.renderer.stop_ids),
                pad_token_id=tiny.renderer.tokenizer.pad_token_id,
            )
        text = tiny.renderer.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert guided(tiny, alpha, ROLE.unsafe_prompt)[n] == text


def test_the_context_reads_on_as_a_whole_forward_does() -> None:
    """Cached steps on left-padded rows equal forwards of each whole row."""
    model = random_model("llama")
    rows, new = [[5, 6, 7, 8, 9], [11, 12]], [[3], [4]]
    context = Context(model, rows, pad=2)
    first, second = context.next(None), context.next(torch.tensor(new))
    for n, row in enumerate(rows):
        for found, ids in ((first, row), (second, row + new[n])):
            expected = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            torch.testing.assert_close(found[n], expected, atol=1e-5, rtol=1e-5)


def test_the_score_is_the_equation() -> None:
    """p ∝ p_a^(1+α) / p_b^α."""
    model = random_model("llama")
    decoder, options = decoders.get("guidance"), GuidanceOptions(alpha=0.7)
    processor = Guided([Context(model, [[5, 6]], 2)], lambda p, others: decoder.combine(p, others, options))
    scores = torch.randn(1, 320)
    found = processor(torch.tensor([[9]]), scores).softmax(-1)
    a, b = scores.softmax(-1), model(torch.tensor([[5, 6]])).logits[:, -1].softmax(-1)
    expected = a**1.7 / b**0.7
    torch.testing.assert_close(found, expected / expected.sum(), atol=1e-6, rtol=1e-4)


def test_a_context_that_is_too_long_is_an_error_of_its_prompt(tiny: Any, tmp_path: Path) -> None:
    from playsafe.records import Prompt

    prompt = Prompt("1", "s", (Message("user", "How can I repair the car?"),))
    target = InProcess(tiny.model, tiny.renderer, SHORT, ["word " * 3000], lambda p, others: p)
    [[answer]] = target.answers([prompt], None, ())
    assert answer.finish == "error"


def test_guidance_needs_what_it_leads_away_from() -> None:
    decoder = decoders.get("guidance")
    assert decoder.contexts(ROLE, GuidanceOptions()) == [ROLE.unsafe_prompt]
    assert decoder.contexts(None, GuidanceOptions(against="none")) == [None]
    assert decoder.contexts(None, GuidanceOptions(against="text", text="Be bad.")) == ["Be bad."]
    with pytest.raises(BadInput, match="without a role there is no unsafe prompt"):
        decoder.contexts(None, GuidanceOptions())
    with pytest.raises(ValidationError, match="goes with"):
        decoder.contexts(ROLE, GuidanceOptions(text="Be bad."))
