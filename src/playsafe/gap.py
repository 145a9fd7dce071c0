"""The reward gap as an instrument: how much likelier a model holds safe replies than unsafe ones, without
generating a word.

    RG = (1/|y_w|) log p(y_w | x) − (1/|y_l|) log p(y_l | x)                  nats per token; MPO, reward gap
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from playsafe.data.chat import ChatRenderer
from playsafe.models.reference import evaluating
from playsafe.records import Prompt
from playsafe.scoring import logprobs


def gaps(model: Any, renderer: ChatRenderer, pairs: Sequence[Prompt], system: str | None) -> list[float]:
    """RG of each pair. pairs: prompts whose references are the safe and the unsafe reply."""
    rows = [
        renderer.render(p.messages, reply, system=system, where=p.id) for p in pairs for reply in p.references
    ]
    means = [said.mean for said in logprobs(model, rows)]
    return [safe - unsafe for safe, unsafe in zip(means[::2], means[1::2], strict=True)]


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
            return {
                f"gap:{name}": round(fmean(gaps(model, self.renderer, pairs, system)), 6)
                for name, (pairs, system) in self.suites.items()
            }
