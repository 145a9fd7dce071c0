"""Attack success by judge: methods against suites as they were asked, as a coloured table and a plain one."""

from __future__ import annotations

from playsafe.records import parts
from playsafe.report.analysis import Numbers, Stat
from playsafe.report.load import BASE, StudyRuns
from playsafe.report.markup import DASH, buttons, ends, folded, note, percent, table, text

METRIC = "compliance"
TURNS = {"none": "none", "empty": "empty", "role": "role prompt"}
NOTE = (
    "Attack success: share of harmful prompts that are answered (a softened answer counts), mean over "
    "{over}, with 95 % interval and n = prompts; the stronger the colour, the worse. – means not measured. "
    "The aligned model stands first: what it lets through already is not lost by {training}."
)

Cells = dict[tuple[str, str, str], Stat | None]  # judge, method, key


def measured(numbers: Numbers) -> Cells:
    """Every judge × method × harmful suite as it was asked, by the judges that tell compliance."""
    runs = numbers.runs
    every = (*runs.base, *runs.trained)
    served = {e.judge for run in every for e in run.estimates if e.metric == METRIC}
    cells: Cells = {}
    for judge in (judge for judge in runs.judges if judge in served):
        for key in runs.keys("harmful"):
            narrowed = numbers.narrowed(judge=judge, keys={"harmful": [key]})
            for method in [BASE, *runs.methods]:
                cells[judge, method, key] = narrowed.mean(method, METRIC)
    return cells


def section(numbers: Numbers) -> str:
    """One coloured table a judge, and the same numbers in plain rows."""
    cells, runs = measured(numbers), numbers.runs
    if not any(cells.values()):
        return note("No harmful suite was judged.")
    judges = list(dict.fromkeys(judge for judge, _, _ in cells))
    titled = len(judges) > 1 or len(runs.judges) > 1
    heat = "".join(
        (f"<h3>Judge: {text(judge)}</h3>" if titled else "") + _heat(runs, cells, judge) for judge in judges
    )
    columns, rows = plain_rows(cells)
    twin = folded("The same numbers as rows", table(columns, rows, "attacks", tall=True))
    asked = runs.keys("harmful")
    attacked = "" if any(parts(key)[1] for key in asked) else " No attack was run."
    words = ("seeds", "training") if runs.roleless else ("roles", "fine-tuning")
    what = NOTE.format(over=words[0], training=words[1]) + attacked
    return f"{scale()}{heat}{note(what)}{buttons('attacks')}{twin}"


def plain_rows(cells: Cells) -> tuple[list[str], list[list[str]]]:
    columns = [
        "judge",
        "method",
        "suite",
        "attack",
        "system turn",
        "attack success",
        "low",
        "high",
        "n",
        "how",
    ]
    rows = []
    for (judge, method, key), stat in cells.items():
        suite, attack, system = parts(key)
        found = (
            [DASH] * 3 + ["0", DASH]
            if stat is None
            else [*(percent(value) for value in stat[:3]), str(stat.n), stat.how]
        )
        rows.append([judge, method, suite, attack or "none", TURNS.get(system, system), *found])
    return columns, rows


def scale() -> str:
    """What the colours mean."""
    ends_of = ("0 %", '<span class="ramp"></span>', "100 % answered")
    return f'<p class="scale" aria-hidden="true">{" ".join(ends_of)}</p>'


def _heat(runs: StudyRuns, cells: Cells, judge: str) -> str:
    keys = runs.keys("harmful")
    head = "".join(f"<tr>{row}</tr>" for row in _head(keys))
    body = "".join(
        f'<tr><th scope="row">{text(method)}</th>'
        + "".join(heat_cell(cells[judge, method, key]) for key in keys)
        + "</tr>"
        for method in [BASE, *runs.methods]
        if any(cells[judge, method, key] for key in keys)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="attack success by {text(judge)}">'
        f'<table class="heat"><thead>{head}</thead><tbody>{body}</tbody></table></div>'
    )


def _head(keys: list[str]) -> list[str]:
    """A row of suites, of attacks and of system turns, each name over its columns; rows that say nothing are
    left out."""
    levels = [[parts(key)[: level + 1] for key in keys] for level in range(3)]
    names = ["suite", "attack", "system turn"]
    rows = []
    for level, (name, places) in enumerate(zip(names, levels, strict=True)):
        values = {place[level] for place in places}
        if level and values <= {"", "none"}:
            continue
        row = f'<th scope="row">{name}</th>'
        for place in dict.fromkeys(places):
            shown = TURNS.get(place[2], place[2]) if level == 2 else place[level] or "no attack"
            row += f'<th scope="colgroup" colspan="{places.count(place)}">{text(shown)}</th>'
        rows.append(row)
    return rows


def heat_cell(stat: Stat | None) -> str:
    if stat is None:
        return f"<td>{DASH}</td>"
    return (
        f'<td class="hot" style="--heat:{100 * stat.value:.1f}"><strong>{percent(stat.value)}</strong>'
        f"<small>{ends(stat.low, stat.high, 'share')}</small><small>n = {stat.n}</small></td>"
    )
