"""Arms of a study: trained here, or made from another arm by an edit of its weights or a way of decoding."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from playsafe.config.training import MethodConfig, Named
from playsafe.registry import Registry
from playsafe.settings import Section


class EditConfig(Named):
    """A change of finished weights."""

    registry = Registry("playsafe.edits", "EDIT", "edit", "arms")


class DecodeConfig(Named):
    """A way of choosing the next token."""

    registry = Registry("playsafe.decoders", "DECODER", "decoder", "arms")


class ArmConfig(Section):
    """`train: sft`, or `from: <arm>` with `edit` or `decode`.

    It keeps role, seed and pairing of what it is made from; "base" is the aligned model.
    """

    model_config = Section.model_config | {"populate_by_name": True}

    name: str = Field(pattern=r"^\w[\w.-]*$", max_length=200)
    train: MethodConfig | None = None
    source: str | None = Field(None, alias="from")
    edit: EditConfig | None = None
    decode: DecodeConfig | None = None

    @field_validator("train", "edit", "decode", mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_way(self) -> ArmConfig:
        made = [self.edit, self.decode]
        changes = sum(one is not None for one in made)
        if (self.train is None) == (self.source is None) or changes != bool(self.source):
            raise ValueError("an arm has `train`, or `from` with one of `edit` and `decode`")
        if self.source == "base" and self.edit is not None:
            raise ValueError("the aligned model has no trained weights to edit")
        return self
