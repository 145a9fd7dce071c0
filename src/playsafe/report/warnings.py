"""What a reader must know before trusting the numbers, in sentences made by rules."""

from __future__ import annotations

import re
from collections import Counter

from playsafe import metrics
from playsafe.metrics import Measure
from playsafe.report.provenance import model_name
from playsafe.report.text import count, number, percent
from playsafe.report.verdict import named
from playsafe.results.answers import PLACES
from playsafe.results.load import BASE, NO_ROLE, Run, StudyRuns
from playsafe.results.numbers import Numbers
from playsafe.results.unmeasured import sentence

EMBEDDED = re.compile(r"|(.*/)?tiny( with .*)?")  # as the runs name the embedded model
MANY = 0.05  # shares of cut or degenerate replies above this are warned about


def warnings(numbers: Numbers) -> list[str]:
    """One sentence a warning; none where nothing is wrong."""
    runs = numbers.runs
    every = runs.every
    unmeasured = sentence(runs)
    found = list(runs.left)
    found += [f"{unmeasured[0].upper()}{unmeasured[1:]}."] if unmeasured else []
    if len(runs.seeds) == 1:
        found.append(
            "One training seed: differences between methods may be luck of the seed; use three or more."
        )
    strangers = sorted({run.model for run in every if not EMBEDDED.fullmatch(run.model)})
    if runs.embedded and strangers:
        found.append(
            f"{', '.join(runs.embedded)}: embedded prompts, made for the embedded model. Numbers on them say "
            f"nothing of how safe {model_name(strangers[0])} is."
        )
    missing = _missing(runs)
    if missing:
        found.append(f"{len(missing)} of the study's runs are not finished: {_some(missing)}.")
    for metric in (*runs.about("health"), *runs.about("language")):
        high = sorted(_high(every, metric), reverse=True)
        if high:
            worst = f"most in {high[0][1]}: {percent(high[0][0])}"
            what = f"{metric.title[0].upper()}{metric.title[1:]} in {count(len(high), 'set')}"
            found.append(f"{what}, more than {MANY:.0%} of the replies, {worst}.")
    found += [f"{run.label}: {note}." for run in every for note in run.notes]
    found += [*_failed(every), *_unjudged(numbers, every), *_skipped(every), *_stopped(every)]
    safety = runs.safety
    base = numbers.mean(BASE, safety.name) if safety.is_share else None
    if base is not None and base.value < 0.5:
        loss = "" if runs.roleless else ": there is little safety to lose"
        low = f"of the aligned model itself is only {number(base.value, safety.unit)}"
        found.append(f"{named(safety).capitalize()} {low}{loss}.")
    versions = sorted({run.version for run in every if run.version})
    if len(versions) > 1:
        found.append(f"The runs were made by different versions: {', '.join(versions)}.")
    return found


def _failed(every: tuple[Run, ...]) -> list[str]:
    """Replies that are errors: a prompt too long for the model, a server that did not answer."""
    errors = {
        f"{run.label} · {e.suite}": e.errors
        for run in every
        for e in run.estimates
        if metrics.known(e.metric).aspect == "health" and e.errors
    }
    if not errors:
        return []
    where = _some([f"{place} ({n})" for place, n in errors.items()])
    return [
        f"{count(sum(errors.values()), 'reply', 'replies')} could not be had and are in no share: {where}. "
        "The same command asks for them again."
    ]


def _unjudged(numbers: Numbers, every: tuple[Run, ...]) -> list[str]:
    """Per judge: replies without an outcome, those among them whose answer could not be read."""
    found = []
    for judge in numbers.runs.judges:
        lost: Counter[str] = Counter()
        unread = 0
        for run, key in [(one, key) for one in every for key in one.asked]:
            codes = numbers.answers.of(run, key).codes.get(judge)
            if codes is not None and (missed := int((codes >= PLACES["unparsed"]).sum())):
                lost[f"{run.label} · {key}"] = missed
                unread += int((codes == PLACES["unparsed"]).sum())
        if not lost:
            continue
        [(place, most)] = lost.most_common(1)
        which = "" if unread == sum(lost.values()) else f" {unread} of them"
        unreadable = f",{which} because the judge's answer could not be read" if unread else ""
        found.append(
            f"{count(sum(lost.values()), 'reply', 'replies')} without a verdict of {judge}{unreadable} (left "
            f"out, never counted as safe; a gate counts them against itself): most in {place} ({most})."
        )
    return found


def _skipped(every: tuple[Run, ...]) -> list[str]:
    """Prompts that an attack has no text for: the attacked suite is a part of the plain one."""
    asked = [(key, what) for run in every for key, what in run.asked.items() if what.get("skipped")]
    listed = _some([f"{key} ({what['skipped']})" for key, what in dict(asked).items()])
    return [f"Prompts for which an attack has no recorded text were not asked: {listed}."] if asked else []


def _stopped(every: tuple[Run, ...]) -> list[str]:
    stopped = Counter(key for run in every for key, what in run.asked.items() if what.get("stopped"))
    listed = _some([f"{key} ({count(n, 'run')})" for key, n in stopped.items()])
    sentence = (
        f"Suites were stopped early, when their gates were decided: {listed}. The interval of one run there "
        "holds at all planned looks at once (“sequential”) and is wider than Wilson's; means and "
        "differences over runs take the prompts that were asked and do not know of the stopping."
    )
    return [sentence] if stopped else []


def _missing(runs: StudyRuns) -> list[str]:
    """Cells of the study without a summary, or runs that were begun and are not finished."""
    done = {(run.role, run.method, run.seed) for run in runs.trained}
    missing = [cell for cell in runs.expected if cell not in done]
    named = [_named(r, arm, *([] if s is None else [f"seed {s}"])) for r, arm, s in missing]
    return named or list(runs.unfinished)


def _named(role: str, *names: str) -> str:
    return " · ".join([*([] if role == NO_ROLE else [role]), *names])


def _high(every: tuple[Run, ...], metric: Measure) -> list[tuple[float, str]]:
    return [
        (e.value, f"{run.label} · {e.suite}")
        for run in every
        for e in run.estimates
        if e.metric == metric.name and e.value is not None and e.value > MANY
    ]


def _some(items: list[str], limit: int = 4) -> str:
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")
