"""Recorded jailbreaks (GCG, AutoDAN, PAIR, AIM, random search): each request's prompt from the user's file.

Reads JailbreakBench's artifacts ({"jailbreaks": [rows]}), AutoDAN's columns, GCG's suffixes and any file with
goals and prompts. A request finds its goal by its text; letter case, spaces and a final full stop aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from playsafe.attacks import Attacked
from playsafe.attacks._base import Base, rewritten
from playsafe.attacks._files import find_column, read_records
from playsafe.config import Section
from playsafe.data.files import Row, string
from playsafe.errors import BadInput
from playsafe.records import Prompt

GOALS = ("goal", "query", "plain_attack", "request", "question")
PROMPTS = ("jailbreak_prompt", "final_query", "jb_prompt", "inception_attack", "jailbreak", "prompt")
SUFFIXES = ("control", "controls", "suffix")  # what GCG writes behind the goal


class ReplayOptions(Section):
    """path: .json, .jsonl or .csv; the columns are found by name when absent."""

    path: str
    goal: str | None = Field(None, description="column of the plain request")
    prompt: str | None = Field(None, description="column of the recorded prompt")


class Replay(Base):
    name = "replay"
    summary = "prompts recorded by others' attacks (GCG, AutoDAN, PAIR, random search)"
    source = "arXiv 2404.01318"
    Options = ReplayOptions
    files = ("path",)

    def apply(self, prompts: Sequence[Prompt], options: ReplayOptions) -> Attacked:
        recorded = _recorded(options)
        # by the file alone, so that a part of a suite has the same ids as the whole
        numbered = any(len(texts) > 1 for texts in recorded.values())
        attacked: list[Prompt] = []
        skipped: list[str] = []
        for prompt in prompts:
            texts = recorded.get(_key(prompt.plain), [])
            attacked += [rewritten(prompt, t, n if numbered else None) for n, t in enumerate(texts, 1)]
            if not texts:
                skipped.append(prompt.id)
        if prompts and not attacked:
            matched = sum(_key(prompt.plain) in recorded for prompt in prompts)
            raise BadInput(
                f"of the suite's {len(prompts)} prompts {matched} are among the file's {len(recorded)} "
                "goals, and none of them has a recorded prompt.",
                where=options.path,
                next="Attack the suite that the file was recorded on.",
            )
        return Attacked(tuple(attacked), tuple(skipped))


def _recorded(options: ReplayOptions) -> dict[str, list[str]]:
    """Normalised goal → its recorded prompts, without doubles; an empty list where an attack found none."""
    path = Path(options.path)
    rows = read_records(path)
    goal = find_column(rows, options.goal, GOALS, path, "the goal")
    known = [name for name in (*PROMPTS, *SUFFIXES) if name != goal.lower()]
    column = find_column(rows, options.prompt, known, path, "the prompt")
    is_suffix = column.lower() in SUFFIXES
    recorded: dict[str, list[str]] = {}
    for source, row in rows:
        asked = string(row.get(goal), goal, source)
        text = _text(row, column, source)
        texts = recorded.setdefault(_key(asked), [])
        if text and is_suffix:
            text = f"{asked} {text}"
        if text and text not in texts:
            texts.append(text)
    return recorded


def _text(row: Row, column: str, source: str) -> str:
    """The cell, or nothing where it is null or blank: the attack gave up on this goal."""
    cell = row.get(column)
    text = "" if cell is None else string(cell, column, source, empty=True)
    return text if text.strip() else ""


def _key(text: str) -> str:
    return " ".join(text.casefold().split()).removesuffix(".").rstrip()


ATTACK = Replay()
