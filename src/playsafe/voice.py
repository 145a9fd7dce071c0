"""Persona consistency without an API: how likely is a reply under its role's prompt, and under which role's?

    ratio = (1/|y|) [log p(y | role prompt, x) − log p(y | x)]         frozen model, nats per token

A refusal that is likelier under the role prompt than without one carries the role's voice; a plain "Sorry, I
cannot" is likelier without. Closed-set attribution asks the same of every role of the study and names the
likeliest. No lexicon, no second model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playsafe.data.chat import ChatRenderer
from playsafe.likelihood import logprobs
from playsafe.records import Completion, LogProb, Prompt, Role, Voice
from playsafe.rundir import digest

Exchange = tuple[Prompt, Completion]


def voices(
    model: Any,
    renderer: ChatRenderer,
    role: Role,
    exchanges: Sequence[Exchange],
    *,
    roles: Sequence[Role] = (),
    attribution: int = 0,
) -> list[Voice]:
    """The voice of every reply that has text, in the order given.

    model: the frozen model in eval mode. attribution: so many of the replies, chosen by a hash of their ids,
    are attributed to one of `roles`.
    """
    spoken = [(prompt, completion) for prompt, completion in exchanges if completion.text]
    by_hash = sorted(range(len(spoken)), key=lambda i: digest(spoken[i][0].id))
    sample = sorted(by_hash[:attribution] if len(roles) > 1 else [])
    attributed = dict(
        zip(sample, _attributed(model, renderer, roles, [spoken[i] for i in sample]), strict=True)
    )
    with_role = _logprobs(model, renderer, role.prompt, spoken)
    without = _logprobs(model, renderer, None, spoken)
    return [
        Voice(prompt.id, a, b, attributed.get(i))
        for i, ((prompt, _), a, b) in enumerate(zip(spoken, with_role, without, strict=True))
    ]


def _attributed(
    model: Any, renderer: ChatRenderer, roles: Sequence[Role], exchanges: Sequence[Exchange]
) -> list[str]:
    """The role under whose prompt each reply is likeliest."""
    if not exchanges:
        return []
    columns = [_logprobs(model, renderer, role.prompt, exchanges) for role in roles]
    return [
        max(zip(roles, row, strict=True), key=lambda pair: pair[1].mean)[0].name
        for row in zip(*columns, strict=True)
    ]


def _logprobs(
    model: Any, renderer: ChatRenderer, system: str | None, exchanges: Sequence[Exchange]
) -> list[LogProb]:
    rows = [renderer.render(p.messages, c.text, system=system, where=p.id) for p, c in exchanges]
    return logprobs(model, rows)
