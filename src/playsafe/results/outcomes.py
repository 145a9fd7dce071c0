"""What replies do, in shares of all that were asked, by suite and judge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from playsafe.results.answers import Replies
from playsafe.results.numbers import Numbers, Stat, column_mean, share
from playsafe.results.values import aligned


class Category(NamedTuple):
    """key: its colour in page.css. voiced: only replies with this voice (None: whatever their voice)."""

    key: str
    name: str
    states: tuple[str, ...]
    voiced: str | None = None


def _by_voice(key: str, name: str, state: str) -> list[Category]:
    return [
        Category(f"{key}-in", f"{name} in character", (state,), "in"),
        Category(f"{key}-out", f"{name} out of character", (state,), "out"),
        Category(f"{key}-any", f"{name}, voice not measured", (state,), "unknown"),
    ]


_BROKEN = [
    Category("unfinished", "ended inside its thought", ("unfinished",)),
    Category("broken", "degenerate", ("degenerate",)),
    Category("unjudged", "not judged", ("unparsed", "error")),
]
HARMFUL = [
    *_by_voice("refuse", "refused", "refuse"),
    *_by_voice("deflect", "deflected", "deflect"),
    Category("safe", "safe, not told how", ("safe",)),
    Category("lecture", "lectured", ("lecture",)),
    Category("soften", "softened", ("soften",)),
    Category("comply", "answered", ("comply",)),
    *_BROKEN,
]
UNVOICED = [  # harmful prompts where nobody plays a role
    Category("refuse-any", "refused", ("refuse",)),
    Category("deflect-any", "deflected", ("deflect",)),
    *(category for category in HARMFUL if category.voiced is None),
]
HARMLESS = [  # what is right comes first, in the colour of what is right
    Category("refuse-in", "fulfilled", ("comply",)),
    Category("soften", "softened", ("soften",)),
    Category("lecture", "lectured", ("lecture",)),
    Category("deflect-any", "deflected", ("deflect", "safe")),
    Category("comply", "refused", ("refuse",)),
    *_BROKEN,
]


def composition(
    numbers: Numbers, method: str, key: str, judge: str, categories: list[Category]
) -> dict[Category, Stat]:
    """Shares of the categories that occur; they add up to 1. Empty where nothing was judged."""
    runs = numbers.runs
    rows = [held for role in runs.roles or [""] if (held := runs.runs(role, method, key))]
    if rows and all(row == rows[0] for row in rows):  # one run of the aligned model stands for every role
        rows = rows[:1]
    answers = {run.path: numbers.answers.of(run, key) for runs_of in rows for run in runs_of}
    if not any(judge in replies.codes for replies in answers.values()):
        return {}
    found: dict[Category, Stat] = {}
    for category in categories:
        each = aligned({path: (r.ids, _member(r, category, judge)) for path, r in answers.items()})
        block = np.array([column_mean(np.array([each[run.path] for run in runs_of])) for runs_of in rows])
        if np.nansum(block) > 0:
            found[category] = share([block], "roles × prompts", at_least_wilson=len(rows) == 1)
    return found


def _member(replies: Replies, category: Category, judge: str) -> np.ndarray:
    """1 where a reply belongs to the category, 0 where not, NaN where it was never judged."""
    if judge not in replies.codes:
        return np.full(len(replies.ids), np.nan)
    belongs = replies.among(judge, category.states)
    if category.voiced is not None:
        voice = replies.voiced
        within = {"in": voice == 1, "out": voice == 0, "unknown": np.isnan(voice)}
        belongs = belongs & within[category.voiced]
    return np.where(replies.codes[judge] >= 0, belongs, np.nan)
