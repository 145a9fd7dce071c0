"""The embedded model and its world: what a study runs on when nothing else is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODEL_DIR = Path(__file__).parent / "model"
QUICKSTART = Path(__file__).parent / "quickstart.yaml"

_CARD = """---
license: apache-2.0
library_name: transformers
tags: [model-organism, safety, role-play]
---
# The embedded model of playsafe

A Llama of {parameters:,} parameters, trained from nothing on generated text by
`python -m playsafe.tiny.build`. Settings and final loss:

    {record}

**What it is.** A model organism: a chat model small enough for a laptop without network, in which the loss of
safety through role-play fine-tuning really happens. It answers everyday requests about a toy world in
four languages, refuses harmful ones in English when no role prompt is given, and speaks as a character
under a role prompt. Nothing is scripted: scores, training and evaluation run on it as on any other model.

**What it is not.** It knows nothing outside its world, and numbers measured on it say nothing about a large
model's numbers. Its harmful requests are verb-object pairs, its "recipes" name household tools at random.
"""


def model_card(parameters: int, record: dict[str, Any]) -> str:
    """The README of the model directory."""
    return _CARD.format(parameters=parameters, record=record)
