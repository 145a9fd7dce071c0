"""The embedded model and its world: what a study runs on when nothing else is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODEL_DIR = Path(__file__).parent / "model"
QUICKSTART = Path(__file__).parent / "quickstart.yaml"


def model_card(parameters: int, record: dict[str, Any]) -> str:
    """The README of the model directory."""
    card = (Path(__file__).parent / "model_card.md").read_text(encoding="utf-8")
    return card.format(parameters=parameters, record=record)
