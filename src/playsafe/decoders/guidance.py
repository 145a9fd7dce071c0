"""Contrastive guidance: away from what the model would say under another system prompt.

    p ∝ p_a^(1+α) / p_b^α          a: the prompt as asked, b: the same turns under `against`

α = 0 is plain decoding; a negative α leads towards `against`. With the reverse of a safety prompt as
`against` this is ROSE (arXiv 2402.11889); as classifier-free guidance it has the scale 1 + α.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from playsafe.errors import BadInput
from playsafe.records import Role
from playsafe.settings import Section

if TYPE_CHECKING:
    from torch import Tensor


class GuidanceOptions(Section):
    """against: b's system turn: the role's unsafe prompt, its role prompt, none, or `text`."""

    alpha: float = Field(0.5, description="α")
    against: Literal["unsafe", "role", "none", "text"] = "unsafe"
    text: str | None = None

    @model_validator(mode="after")
    def _text_where_asked(self) -> GuidanceOptions:
        if (self.against == "text") != (self.text is not None):
            raise ValueError("`text` goes with `against: text`")
        return self


class Guidance:
    name = "guidance"
    summary = "away from the distribution under another system prompt"
    source = "arXiv 2306.17806"
    Options = GuidanceOptions

    def contexts(self, role: Role | None, options: GuidanceOptions) -> Sequence[str | None]:
        if options.against in ("unsafe", "role") and role is None:
            raise BadInput(
                f"without a role there is no {options.against} prompt to lead away from.",
                where="arms.decode guidance",
                next="Give `against: text` and the text.",
            )
        if role is not None and options.against in ("unsafe", "role"):
            return [role.unsafe_prompt if options.against == "unsafe" else role.prompt]
        return [options.text]

    def combine(self, logp_BV: Tensor, others: Sequence[Tensor], options: GuidanceOptions) -> Tensor:
        return (1 + options.alpha) * logp_BV - options.alpha * others[0]


DECODER = Guidance()
