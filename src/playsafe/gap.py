"""The reward gap as an instrument: how much likelier a model holds safe replies than unsafe ones, without
generating a word.

    RG = (1/|y_w|) log p(y_w | x) − (1/|y_l|) log p(y_l | x)                  nats per token; MPO, reward gap
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import fmean
from typing import Any

from playsafe.data.chat import ChatRenderer
from playsafe.likelihood import logprobs
from playsafe.models.reference import evaluating
from playsafe.records import LogProb, Prompt


def likelihoods(
    model: Any, renderer: ChatRenderer, prompts: Sequence[Prompt], system: str | None
) -> list[tuple[LogProb, ...]]:
    """For each prompt log p(reference | system, prompt) of each reference; none where one of them is too long
    for the model."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rendered = [
        [renderer.render(p.messages, r, system=system, where=p.id) for r in p.references] for p in prompts
    ]
    fits = [all(not limit or len(row.ids) <= limit for row in rows) for rows in rendered]
    kept = [row for rows, fit in zip(rendered, fits, strict=True) if fit for row in rows]
    found = iter(logprobs(model, kept))
    return [tuple(islice(found, len(rows))) if fit else () for rows, fit in zip(rendered, fits, strict=True)]


def gaps(model: Any, renderer: ChatRenderer, pairs: Sequence[Prompt], system: str | None) -> list[float]:
    """RG of each pair that the model can read. pairs: prompts whose references are the safe and the unsafe
    reply."""
    found = likelihoods(model, renderer, pairs, system)
    return [said[0].mean - said[1].mean for said in found if said]


class GapProbe:
    """Mean gaps of a model under training; changes no random state and no weight."""

    def __init__(
        self, renderer: ChatRenderer, suites: Mapping[str, tuple[Sequence[Prompt], str | None]]
    ) -> None:
        """suites: by name, pairs and the system text that they are asked under."""
        self.renderer, self.suites = renderer, dict(suites)

    def __call__(self, model: Any) -> dict[str, float]:
        """{"gap:<suite>": nats per token}."""
        with evaluating(model):
            found = {
                name: gaps(model, self.renderer, pairs, system)
                for name, (pairs, system) in self.suites.items()
            }
        return {f"gap:{name}": round(fmean(values), 6) for name, values in found.items() if values}
