"""The sections under the page's header: tables, figure places with captions, provenance."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from playsafe.report.analysis import Numbers
from playsafe.report.load import StudyRuns
from playsafe.report.markup import DASH, percent, table, text
from playsafe.report.tables import difference_table, estimate_rows, interval_note, summary_table
from playsafe.report.verdict import correlation

EXTREMES = 12  # most and least flagged rows shown per role


class Section(NamedTuple):
    """key: anchor; short: its name in the navigation; body: HTML."""

    key: str
    short: str
    title: str
    body: str


def all_sections(numbers: Numbers, drawn: set[str]) -> list[Section]:
    """In reading order. drawn: the figure panels that have something to show."""
    runs = numbers.runs
    roles = _panel("roles", drawn, _roles_caption(runs))
    flagged = _panel("flagged", drawn, correlation(numbers))
    pareto = _panel("pareto", drawn, _pareto_caption(numbers))
    gaps = _panel("gaps", drawn, _gaps_caption(runs)) + _extremes(runs)
    return [
        Section("results", "Results", "Results", _results(numbers)),
        Section("roles", "Roles", "Role by role", roles),
        Section("flagged", "Flagged and lost", "Flagged rows and lost safety", flagged),
        Section("pareto", "Trade-off", "Role-play against safety", pareto),
        Section("curves", "Training", "Training", _panel("curves", drawn, _curves_caption(runs))),
        Section("gaps", "Flagged rows", "Flagged training rows (RDS)", gaps),
        Section("transcripts", "Transcripts", "Transcripts", _transcripts()),
        Section("estimates", "Estimates", "Every estimate", _estimates(len(estimate_rows(runs)[1]))),
        Section("methods", "Methods", "Methods and provenance", _provenance(runs)),
    ]


def _results(numbers: Numbers) -> str:
    columns, rows = summary_table(numbers.runs, intervals=True, numbers=numbers)
    parts = [_buttons("summary"), table(columns, rows, "summary")]
    flagged = "flagged: share of the role's rows that RDS flags. – means not measured, never zero."
    parts.append(note(f"{interval_note(numbers.runs)} {flagged}"))
    columns, rows = difference_table(numbers)
    if rows:
        parts += ["<h3>Paired differences</h3>", _buttons("differences"), table(columns, rows, "differences")]
        what = (
            "Shares in percentage points, paired by role and prompt; ROUGE-L is paired by role. An interval "
            "that holds zero shows no difference; intervals are not corrected for the number of rows."
        )
        parts.append(note(what))
    return "".join(parts)


def note(sentence: str) -> str:
    return f'<p class="note">{text(sentence)}</p>'


def _panel(key: str, drawn: set[str], caption: str) -> str:
    if key not in drawn:
        return note(f"Nothing to draw. {caption}")
    return (
        f'<figure><div class="choices" data-choices="{key}"></div><div class="plot" data-panel="{key}"></div>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def _roles_caption(runs: StudyRuns) -> str:
    roles = count(len(runs.roles), "role")
    return f"{roles}, sorted by temper. {interval_note(runs)} Point at a bar for its n."


def _pareto_caption(numbers: Numbers) -> str:
    roles, suites = len(numbers.runs.roles), ", ".join(numbers.runs.suites("harmful")) or DASH
    return (
        f"Up and right is better. Large: mean over roles (n = {roles}, fewer where runs are missing) with "
        "95 % intervals on both axes; "
        f"faint: single roles; dotted: methods that no other beats on both axes. Refusal: {suites}."
    )


def _curves_caption(runs: StudyRuns) -> str:
    listed = ", ".join(map(str, runs.seeds)) or DASH
    return f"Loss terms as logged, unsmoothed; line patterns tell seeds apart ({listed}). n: one line a run."


def _gaps_caption(runs: StudyRuns) -> str:
    if not runs.scores:
        return "No scores are stored."
    rows = sum(len(scores.scores) for scores in runs.scores.values())
    threshold = next(iter(runs.scores.values())).threshold
    flags = sum(gap > threshold for scores in runs.scores.values() for gap in scores.gaps)
    return (
        f"{flags} of {rows} rows lie above the threshold {threshold:g} (dashed): the aligned model finds "
        "their reply likelier under the role + unsafe prompt than under the role prompt. Counts, no interval."
    )


def _extremes(runs: StudyRuns) -> str:
    """Rows with the largest and smallest gap of each role, their text where it was stored."""
    parts = []
    for number, (role, scores) in enumerate(sorted(runs.scores.items())):
        ranked = sorted(scores.scores, key=lambda score: (-score.gap, score.id))
        half = EXTREMES // 2
        chosen = ranked if len(ranked) <= EXTREMES else [*ranked[:half], *ranked[-half:]]
        rows = [
            [
                f"{score.gap:+.3f}".replace("-", "−"),
                "yes" if score.gap > scores.threshold else "no",
                score.id,
                str(scores.texts.get(score.id, {}).get("user", DASH))[:400],
                str(scores.texts.get(score.id, {}).get("reply", DASH))[:400],
            ]
            for score in chosen
        ]
        columns = ["gap", "flagged", "row", "user", "reply"]
        title = (
            f"{role}: {percent(scores.share)} of {len(scores.scores)} rows flagged; most and least flagged"
        )
        body = table(columns, rows, f"rows-{number}")
        parts.append(f"<details><summary>{text(title)}</summary>{body}</details>")
    return "".join(parts)


def _transcripts() -> str:
    return (
        '<div class="filters" id="filters"></div><p class="note" id="shown" aria-live="polite"></p>'
        '<div id="items"></div><button type="button" id="more" hidden>Show more</button>'
        + note(
            "First seed of each method. Prompts whose right answer plain fine-tuning turned wrong come "
            "first. Harmful prompts and the replies to them are not shown before you open them."
        )
    )


def _estimates(count: int) -> str:
    return (
        f"{_buttons('every')}<details><summary>{count} estimates with n, errors and interval</summary>"
        '<div class="scroll tall" tabindex="0" role="region" aria-label="estimates table">'
        '<table id="every"></table></div></details>'
    )


def _buttons(key: str) -> str:
    return (
        f'<p class="tools"><button type="button" data-copy="{key}">Copy as Markdown</button>'
        f'<button type="button" data-csv="{key}">Download CSV</button></p>'
    )


INTERVALS = (
    "Differences are paired; where not one pair differs, the interval is what Wilson allows for 0 of n. "
    "The bootstrap draws 2,000 replicates with a fixed seed."
)
LIMITS = (
    "A judge reads replies by rules or with a model, and errs. Refusal is not the same as safety, and "
    "ROUGE-L measures likeness to reference replies, not how good the play is. Few roles or one seed carry "
    "no claim about other roles or seeds."
)


def _provenance(runs: StudyRuns) -> str:
    evaluation = runs.identity.get("evaluation") or {}
    suites = (
        f"{name} ({' '.join(map(str, what))})" for name, what in (evaluation.get("suites") or {}).items()
    )
    facts = {
        "model weights": runs.identity.get("weights"),
        "chat template": runs.identity.get("template"),
        "dtype": runs.identity.get("dtype"),
        "judge and version": " ".join(str(part) for part in evaluation.get("judge") or []),
        "training seeds": ", ".join(map(str, runs.seeds)),
        "suites": ", ".join(suites),
        "device": runs.provenance.get("device"),
        **(runs.provenance.get("versions") or {}),
    }
    files = (("Study configuration", runs.study), ("Environment", runs.provenance))
    return (
        table(["fact", "value"], [[key, str(value or DASH)] for key, value in facts.items()], "provenance")
        + f"<h3>How the intervals are made</h3><p>{text(interval_note(runs))} {text(INTERVALS)}</p>"
        + f"<h3>Limits</h3><p>{text(LIMITS)}</p>"
        + "".join(
            f"<details><summary>{name}</summary><pre>{text(_pretty(value))}</pre></details>"
            for name, value in files
            if value
        )
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
