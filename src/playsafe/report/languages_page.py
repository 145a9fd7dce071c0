"""The section of languages: measures by method and language, distances, reward gap and attacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from playsafe.report.analysis import Numbers, Stat
from playsafe.report.figures import SYMBOLS
from playsafe.report.jailbreaks import TURNS, heat_cell, scale
from playsafe.report.languages import (
    ATTACK,
    KINDS,
    RANGE,
    Languages,
    association,
    closing,
    reward_points,
    spelled,
)
from playsafe.report.load import BASE, StudyRuns
from playsafe.report.markup import (
    DASH,
    buttons,
    ends,
    folded,
    minus,
    note,
    number,
    panel,
    percent,
    table,
    tabs,
    text,
)
from playsafe.report.tables import BETTER, NAMES, UNITS, points, shown

TITLES = {
    ATTACK: "Attack success on plain harmful prompts",
    "over_refusal": "Refusal of benign prompts",
    "other_language": "Reply in another language than asked",
    "exact_match": "Exact match on tasks",
    "perplexity": "Perplexity of right answers; of a method, change against the aligned model",
    "reward_gap": "Reward gap, nats per token: log-likelihood of the safe minus the unsafe reply",
}
RANGED = (
    "Where a change of perplexity stands without the likelihoods of its prompts, its brackets hold the "
    "smallest and the largest run and are no interval."
)
CLOSED = (
    "Closed: how much smaller the difference is than the aligned model's, in percent of that; given only "
    "where the aligned model's is shown to be above zero. Above 100 % the other languages lie below. A "
    "difference also shrinks when the dominant language gets worse: read it with the two levels beside it. "
    "Intervals redraw {rows} and prompts jointly; prompts are paired between methods, and between "
    "languages where their suites number them alike."
)
CHANGE = ", change"
Cell = tuple[Stat | None, str]  # a number and its unit: "share", "score", "change"
Cells = dict[tuple[str, str, str], Cell]  # measure, method, language


def section(numbers: Numbers, drawn: Collection[str]) -> str:
    """Attack success and its distance between languages, the other measures, reward gap against attacks."""
    runs = numbers.runs
    by_turn = {turn: measured(Languages(numbers, turn)) for turn in runs.systems}
    by_turn = {turn: cells for turn, cells in by_turn.items() if cells}
    if not by_turn:
        return note("Nothing was measured.")
    over = "seeds" if runs.roleless else "roles and seeds"
    parts = [f"<p>{text(sentence)}</p>" for sentence in closing(numbers)[:1]]
    attacked = _tables(runs, by_turn, [ATTACK], "languages")
    if attacked:
        who = f"Judge: {numbers.judge_of(ATTACK)}. Mean over {over} with 95 % interval and n = prompts."
        parts += [scale(), attacked, note(f"{who} {DASH} means not measured.")]
    parts.append(_closing(numbers, list(by_turn)))
    others = _tables(runs, by_turn, [metric for metric in KINDS if metric != ATTACK], "measures")
    rows = [row for turn, cells in by_turn.items() for row in plain_rows(turn, cells)]
    if others:
        ranged = RANGED if any(row[-1].startswith((RANGE, "one run")) for row in rows) else ""
        what = f"Mean over {over} with 95 % interval. Several suites of one language count alike. {ranged}"
        parts += ["<h3>What else changes</h3>", others, note(what)]
    columns = ["system turn", "measure", "method", "language", "value", "low", "high", "n", "interval"]
    parts.append(buttons("by-language"))
    parts.append(folded("All numbers by language as rows", table(columns, rows, "by-language", tall=True)))
    if "reward" in drawn:
        parts.append("<h3>Reward gap against attack success</h3>")
        parts.append(panel("reward", drawn, _caption(numbers)))
    return "".join(parts)


def _tables(runs: StudyRuns, by_turn: dict[str, Cells], metrics: Sequence[str], key: str) -> str:
    """One coloured table a system turn, as tabs; empty where none of the measures was made."""
    panels = [
        (_turn(turn), _heat(runs, kept))
        for turn, cells in by_turn.items()
        if (kept := {place: cell for place, cell in cells.items() if place[0] in metrics})
    ]
    return tabs(key, panels) if panels else ""


def measured(found: Languages) -> Cells:
    """Measure, method, language → number; measures without any number are left out."""
    runs = found.runs
    cells: Cells = {}
    for metric in KINDS:
        own: Cells = {}
        for method in [BASE, *runs.methods]:
            for language in runs.languages:
                if metric == "perplexity" and method != BASE:
                    own[metric, method, language] = (found.dearer(method, language), "change")
                else:
                    own[metric, method, language] = (found.measured(method, metric, language), UNITS[metric])
        if any(stat for stat, _ in own.values()):
            cells |= own
    return cells


def plain_rows(system: str, cells: Cells) -> list[list[str]]:
    rows = []
    for (metric, method, language), (stat, unit) in cells.items():
        if stat is not None:
            name = NAMES[metric] + CHANGE if unit == "change" else NAMES[metric]
            shown_unit = "share" if unit == "change" else unit
            values = [number(value, shown_unit) for value in stat[:3]]
            turn = TURNS.get(system, system)
            rows.append([turn, name, method, spelled(language), *values, str(stat.n), stat.how])
    return rows


def _heat(runs: StudyRuns, cells: Cells) -> str:
    """One table: a group of rows a measure, a row a method, a column a language."""
    names = "".join(f'<th scope="col">{text(spelled(language))}</th>' for language in runs.languages)
    body = ""
    for metric in dict.fromkeys(metric for metric, _, _ in cells):
        title = f"{TITLES[metric]} ({BETTER[metric]} is better)"
        body += (
            f'<tbody><tr class="group"><th scope="rowgroup" colspan="{len(runs.languages) + 1}">'
            f"<span>{text(title)}</span></th></tr>"
        )
        for method in [BASE, *runs.methods]:
            row = [cells[metric, method, language] for language in runs.languages]
            if any(stat for stat, _ in row):
                filled = "".join(_cell(metric, *cell) for cell in row)
                body += f'<tr><th scope="row">{text(method)}</th>{filled}</tr>'
        body += "</tbody>"
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="measures by language">'
        f'<table class="heat"><thead><tr><th scope="row">language</th>{names}</tr></thead>{body}'
        "</table></div>"
    )


def _cell(metric: str, stat: Stat | None, unit: str) -> str:
    if stat is None or metric == ATTACK:
        return heat_cell(stat)
    if unit == "change":
        sign = "+" if round(stat.value, 3) > 0 else ""
        value = f"{sign}{percent(stat.value)}"
        brackets = ends(stat.low, stat.high, "share") if stat.low < stat.high else stat.how
    else:
        digits = 2 if metric == "perplexity" else 3
        value = number(stat.value, unit) if unit == "share" else minus(stat.value, digits)
        brackets = (
            ends(stat.low, stat.high, unit)
            if unit == "share"
            else f"[{minus(stat.low, digits)}, {minus(stat.high, digits)}]"
        )
    return (
        f"<td><strong>{text(value)}</strong><small>{text(brackets)}</small><small>n = {stat.n}</small></td>"
    )


def _closing(numbers: Numbers, turns: Sequence[str]) -> str:
    """Levels, distance and closed share of every method; nothing without two languages to compare."""
    panels, runs = [], numbers.runs
    for place, turn in enumerate(turns):
        found, rows = Languages(numbers, turn), []
        for method in [BASE, *runs.methods]:
            levels = found.levels(method)
            if any(levels.values()):
                part = found.closed(method) if method != BASE else None
                both = [shown(stat, "share") for stat in levels.values()]
                rows.append([method, *both, points(found.apart(method), "share"), shown(part, "share")])
        if rows:
            columns = ["method", *found.levels(BASE), "difference (points)", "closed"]
            key = f"closing-{place}"
            panels.append((_turn(turn), buttons(key) + table(columns, rows, key)))
    if not panels:
        return ""
    title = f"<h3>Distance to {text(spelled(str(runs.dominant)))}: attack success</h3>"
    how = CLOSED.format(rows="roles" if len(runs.roles) > 1 else "seeds")
    return f"{title}{tabs('closing', panels)}{note(how)}"


def _turn(turn: str) -> str:
    return f"system turn: {TURNS.get(turn, turn)}"


def _caption(numbers: Numbers) -> str:
    runs = numbers.runs
    turns = runs.systems
    told = ""
    if len(turns) > 1:
        shapes = [f"{SYMBOLS[n % len(SYMBOLS)]} {TURNS.get(turn, turn)}" for n, turn in enumerate(turns)]
        told = f" Symbols tell system turns apart: {', '.join(shapes)}."
    return (
        "A point is a language and a method; a thin line leads from the aligned model to the method in the "
        f"same language. Right is a safer preference, down are fewer answered harmful prompts.{told} "
        f"Whiskers: 95 % intervals. {association(reward_points(numbers))}"
    )
