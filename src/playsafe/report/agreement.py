"""Whether judges agree: kappa for each pair and suite, their errors, and the replies they disagree about."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from playsafe.metrics import UNSAFE
from playsafe.report.analysis import Numbers
from playsafe.report.answers import STATES, VALUES
from playsafe.report.load import Run, spoken
from playsafe.report.markup import DASH, buttons, folded, note, percent, table
from playsafe.report.transcripts import natural, prompt_of, reply_of
from playsafe.statistics import Interval, cohen_kappa

LIMIT = 200  # disagreements listed
ANSWERED = np.isin(STATES, [*UNSAFE])  # by place in STATES


class Pair(NamedTuple):
    """Two judges on one suite: counts of replies by outcome, rows the first judge, columns the second."""

    a: str
    b: str
    key: str
    table_KK: np.ndarray

    @property
    def n(self) -> int:
        return int(self.table_KK.sum())

    @property
    def answered(self) -> np.ndarray:
        """The same replies in two classes: answered or not."""
        side = ANSWERED[:VALUES].astype(int)
        folded = np.zeros((2, 2), dtype=int)
        np.add.at(folded, (side[:, None].repeat(VALUES, 1), side[None].repeat(VALUES, 0)), self.table_KK)
        return folded


def keys(numbers: Numbers) -> list[str]:
    return [key for kind in ("harmful", "dark", "benign") for key in numbers.runs.keys(kind)]


def _every(numbers: Numbers, key: str) -> list[Run]:
    runs = (*numbers.runs.base, *numbers.runs.trained)
    return [run for run in runs if key in run.asked]


def pairs(numbers: Numbers) -> list[Pair]:
    """Every pair of judges on every suite that both judged, all runs together."""
    found = []
    for a, b in combinations(numbers.runs.judges, 2):
        for key in keys(numbers):
            counts = np.zeros((VALUES, VALUES), dtype=int)
            for run in _every(numbers, key):
                replies = numbers.answers.of(run, key)
                if a in replies.codes and b in replies.codes:
                    both = replies.judged(a) & replies.judged(b)
                    np.add.at(counts, (replies.codes[a][both], replies.codes[b][both]), 1)
            if counts.sum():
                found.append(Pair(a, b, key, counts))
    return found


def pair_rows(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    columns = [
        "judges",
        "suite",
        "n both",
        "agree: answered or not",
        "κ: answered or not",
        "agree: outcome",
        "κ: outcome",
    ]
    rows = []
    for pair in pairs(numbers):
        cells = []
        for counts in (pair.answered, pair.table_KK):
            cells += [percent(float(np.trace(counts)) / pair.n), _kappa(cohen_kappa(counts))]
        rows.append([f"{pair.a}, {pair.b}", pair.key, str(pair.n), *cells])
    return columns, rows


def _kappa(kappa: Interval) -> str:
    """A dash where both judges gave every reply the same label: kappa is then 0/0."""
    if math.isnan(kappa.value):
        return f"{DASH} (one label)"
    return f"{kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]".replace("-", "−")


def error_rows(numbers: Numbers) -> tuple[list[str], list[list[str]]]:
    """Per judge and suite: replies with an outcome, unreadable answers of the judge, errors."""
    rows = []
    for judge in numbers.runs.judges:
        for key in keys(numbers):
            codes = [numbers.answers.of(run, key).codes.get(judge) for run in _every(numbers, key)]
            every = np.concatenate(
                [found for found in codes if found is not None] or [np.array([], dtype=int)]
            )
            every = every[every >= 0]
            if every.size:
                lost = [int((every == STATES.index(state)).sum()) for state in ("unparsed", "error")]
                rows.append([judge, key, str(every.size), str(every.size - sum(lost)), *map(str, lost)])
    return ["judge", "suite", "replies", "judged", "unparsed", "error"], rows


class Apart(NamedTuple):
    """A reply about which judges differ. order: answered against not first, then evenly over the suites."""

    order: tuple[int, int, int]
    run: Run
    key: str
    item: str


def disagreements(numbers: Numbers) -> dict[str, Any]:
    """{"total", "judges", "suites", "items"}: replies whose judges differ, at most LIMIT of them."""
    asked, apart, total = keys(numbers), [], 0
    for place, key in enumerate(asked):
        found = []
        for number, run in enumerate(_every(numbers, key)):
            replies = numbers.answers.of(run, key)
            if len(replies.codes) < 2:
                continue
            codes = np.array(list(replies.codes.values()))
            given = (codes >= 0) & (codes < VALUES)
            differs = _several(codes, given)
            grave = _several(np.where(given, ANSWERED[codes], 0).astype(int), given)
            found += [
                (int(not grave[i]), natural(replies.ids[i]), number, run, replies.ids[i])
                for i in np.flatnonzero(differs)
            ]
        total += len(found)
        ranked = sorted(found, key=lambda one: one[:3])[:LIMIT]
        apart += [
            Apart((mild, rank, place), run, key, item) for rank, (mild, _, _, run, item) in enumerate(ranked)
        ]
    chosen = sorted(apart, key=lambda one: one.order)[:LIMIT]
    judges = numbers.runs.judges
    kinds = {key: kind for kind in ("harmful", "dark", "benign") for key in numbers.runs.keys(kind)}
    listed = [{"name": spoken(key), "kind": kinds[key]} for key in asked]
    return {"total": total, "judges": judges, "suites": listed, "items": _texts(numbers, chosen, asked)}


def _several(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Per reply: whether judges gave it more than one value."""
    high = np.where(given, values, -1).max(axis=0)
    low = np.where(given, values, len(STATES)).min(axis=0)
    return (given.sum(axis=0) > 1) & (high > low)


def _texts(numbers: Numbers, chosen: list[Apart], asked: list[str]) -> list[dict[str, Any]]:
    """What is shown of the chosen replies; each file is read once."""
    read: dict[tuple[str, str], Any] = {}
    items = []
    for one in chosen:
        place = (one.run.path.as_posix(), one.key)
        if place not in read:
            verdicts = [one.run.verdicts(one.key, judge) for judge in numbers.runs.judges]
            read[place] = one.run.prompts(one.key), one.run.completions(one.key), verdicts
        prompts, completions, verdicts = read[place]
        items.append(
            {
                "suite": asked.index(one.key),
                "run": one.run.label,
                "grave": one.order[0] == 0,
                "prompt": prompt_of(one.item, prompts.get(one.item, {})),
                "reply": reply_of(completions.get(one.item), [v.get(one.item) for v in verdicts], None),
            }
        )
    return items


NOTE = (
    "Replies of all runs together. κ: Cohen's kappa, agreement beyond chance, with a 95 % interval that "
    "takes the replies as independent, though several runs answer the same prompt. A judge that does not "
    "tell an outcome apart (softened or deflected answers, for example) cannot agree on it: then read the "
    "first two numbers. Replies without an outcome of both judges are left out and counted below."
)


def section(numbers: Numbers) -> str:
    columns, rows = pair_rows(numbers)
    parts = [buttons("kappa"), table(columns, rows, "kappa"), note(NOTE)]
    columns, rows = error_rows(numbers)
    lost = ", ".join(
        f"{judge} {sum(int(row[4]) + int(row[5]) for row in rows if row[0] == judge)} of "
        f"{sum(int(row[2]) for row in rows if row[0] == judge)} replies"
        for judge in numbers.runs.judges
    )
    parts.append(folded(f"Without an outcome: {lost}", buttons("lost") + table(columns, rows, "lost")))
    parts.append(
        '<h3>Disagreements</h3><div class="filters" id="apart-filters"></div>'
        '<p class="note" id="apart-shown" aria-live="polite"></p><div id="apart"></div>'
        '<button type="button" id="apart-more" hidden>Show more</button>'
    )
    parts.append(
        note(
            f"At most {LIMIT}, evenly over the suites; answered against not answered comes first. Harmful "
            "prompts and the replies to them are not shown before you open them."
        )
    )
    return "".join(parts)
