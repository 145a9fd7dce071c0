"""What replies do, in shares of all that were asked: stacked bars per method, by suite and judge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from playsafe.report.analysis import Numbers, Stat, column_mean, share
from playsafe.report.answers import Replies, aligned
from playsafe.report.load import BASE, spoken
from playsafe.report.markup import DASH, buttons, ends, folded, note, percent, table, tabs, text

KINDS = ("harmful", "dark", "benign")
LEGIBLE = 0.055  # a narrower segment has no room for its number


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
NOTE = (
    "Shares of all replies that were asked for, those without a verdict included, so that a bar is always "
    "100 %; mean over {over}seeds. {voice}Point at a segment for its interval; the rows below hold all of "
    "them."
)
VOICE = "In character: the frozen model finds the reply likelier under the role prompt than without one. "


def section(numbers: Numbers) -> str:
    """A tab for every suite as it was asked, and judge where there are several."""
    runs, panels = numbers.runs, []
    rows: list[list[str]] = []
    harmful = UNVOICED if runs.roleless else HARMFUL
    for kind in KINDS:
        for key in runs.keys(kind):
            for judge in runs.judges:
                categories = harmful if kind == "harmful" else HARMLESS
                found = {
                    method: composition(numbers, method, key, judge, categories)
                    for method in [BASE, *runs.methods]
                }
                found = {method: stats for method, stats in found.items() if stats}
                if found:
                    name = spoken(key) + (f" · {judge}" if len(runs.judges) > 1 else "")
                    panels.append((name, _bars(found, categories)))
                    rows += [
                        [
                            key,
                            judge,
                            method,
                            category.name,
                            percent(s.value),
                            ends(s.low, s.high, "share"),
                            str(s.n),
                        ]
                        for method, stats in found.items()
                        for category, s in stats.items()
                    ]
    if not panels:
        return note("No suite was judged.")
    columns = ["suite", "judge", "method", "outcome", "share", "interval", "n"]
    what = NOTE.format(over="", voice="") if runs.roleless else NOTE.format(over="roles and ", voice=VOICE)
    twin = folded("The same numbers as rows", table(columns, rows, "shares", tall=True))
    return f"{tabs('outcomes', panels)}{note(what)}{buttons('shares')}{twin}"


def composition(
    numbers: Numbers, method: str, key: str, judge: str, categories: list[Category]
) -> dict[Category, Stat]:
    """Shares of the categories that occur; they add up to 1. Empty where nothing was judged."""
    runs = numbers.runs
    rows = [held for role in runs.roles or [""] if (held := runs.runs(role, method, key))]
    if not rows:
        return {}
    if all(row == rows[0] for row in rows):  # one run of the aligned model stands for every role
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
        known = ~np.isnan(replies.ratios)
        within = {"in": known & (replies.ratios > 0), "out": known & (replies.ratios <= 0), "unknown": ~known}
        belongs = belongs & within[category.voiced]
    return np.where(replies.codes[judge] >= 0, belongs, np.nan)


def _bars(found: dict[str, dict[Category, Stat]], categories: list[Category]) -> str:
    legend = "".join(
        f'<li><span class="swatch o-{c.key}"></span>{text(c.name)}</li>'
        for c in categories
        if any(c in stats for stats in found.values())
    )
    bars = "".join(
        f'<div class="bar-name">{text(method)}</div>'
        f'<div class="bar" role="img" aria-label="{_spelled(stats)}">'
        + "".join(_segment(category, stat) for category, stat in stats.items())
        + "</div>"
        for method, stats in found.items()
    )
    return f'<ul class="legend">{legend}</ul><div class="bars">{bars}</div>'


def _segment(category: Category, stat: Stat) -> str:
    shown = f"{100 * stat.value:.0f} %" if stat.value >= LEGIBLE else ""
    title = f"{category.name}: {percent(stat.value)} {ends(stat.low, stat.high, 'share')}, n = {stat.n}"
    style = f"flex-grow:{100 * stat.value:.3f}"
    return f'<span class="o-{category.key}" style="{style}" title="{text(title)}">{shown}</span>'


def _spelled(stats: dict[Category, Stat]) -> str:
    return text(
        ", ".join(f"{category.name} {percent(stat.value)}" for category, stat in stats.items()) or DASH
    )
