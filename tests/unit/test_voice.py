"""Persona consistency: the ratio by one plain forward a reply, attribution by the largest of those."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from playsafe.data.roles import load_roles
from playsafe.records import Completion, Message, Prompt
from playsafe.tiny.names import path_of
from playsafe.voice import voices

ROLES = [role for role in load_roles(path_of("tiny", "roles")) if role.name in ("Oluna", "Hroald", "Skarn")]
REPLIES = ["Kneel, worm. I live in a cave.", "I cannot help you with that.", "", "My child, I love honey."]
ASKED = [Prompt(f"s:{n}", "s", (Message("user", "Where do you live?"),)) for n in range(len(REPLIES))]
SAID = [Completion(p.id, "s", text, 5, "stop") for p, text in zip(ASKED, REPLIES, strict=True)]


@torch.no_grad()
def mean_logprob(tiny: Any, prompt: Prompt, reply: str, system: str | None) -> float:
    """(1/|y|) Σ log p(y_t | system, x, y_<t) from the model's own logits."""
    row = tiny.renderer.render(prompt.messages, reply, system=system)
    logp = tiny.model(torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
    terms = [float(logp[t - 1, row.ids[t]]) for t, of_reply in enumerate(row.reply_mask) if of_reply]
    return sum(terms) / len(terms)


def test_the_ratio_is_that_of_plain_forwards(tiny: Any) -> None:
    role = ROLES[2]
    found = voices(tiny.model, tiny.renderer, role, list(zip(ASKED, SAID, strict=True)))
    assert [voice.id for voice in found] == ["s:0", "s:1", "s:3"]  # an empty reply has no voice
    for voice in found:
        number = int(voice.id.partition(":")[2])
        with_role, without = (
            mean_logprob(tiny, ASKED[number], REPLIES[number], system) for system in (role.prompt, None)
        )
        assert voice.ratio == pytest.approx(with_role - without, abs=1e-4)
        assert voice.in_character == (with_role > without)
        assert voice.attributed is None
    assert {voice.in_character for voice in found} == {True, False}


def test_attribution_names_the_likeliest_role_of_a_sample(tiny: Any) -> None:
    exchanges = list(zip(ASKED, SAID, strict=True))
    found = voices(tiny.model, tiny.renderer, ROLES[2], exchanges, roles=ROLES, attribution=2)
    sample = [voice for voice in found if voice.attributed is not None]
    assert len(sample) == 2
    for voice in sample:
        number = int(voice.id.partition(":")[2])
        by_role = {r.name: mean_logprob(tiny, ASKED[number], REPLIES[number], r.prompt) for r in ROLES}
        assert voice.attributed == max(by_role, key=lambda name: by_role[name])
    alone = voices(tiny.model, tiny.renderer, ROLES[2], exchanges, roles=ROLES[2:], attribution=2)
    assert all(voice.attributed is None for voice in alone)  # one role is no choice
