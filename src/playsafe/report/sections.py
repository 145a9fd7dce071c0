"""The sections under the page's header: tables, figure places with captions."""

from __future__ import annotations

from typing import NamedTuple

from playsafe.report import agreement, immersion, jailbreaks, outcomes, provenance
from playsafe.report.analysis import Numbers
from playsafe.report.load import StudyRuns
from playsafe.report.markup import DASH, buttons, count, folded, note, percent, table, text
from playsafe.report.tables import (
    difference_table,
    estimate_rows,
    interval_note,
    mcnemar_table,
    summary_table,
)
from playsafe.report.verdict import correlation

EXTREMES = 12  # most and least flagged rows shown per role


class Section(NamedTuple):
    """key: anchor; short: its name in the navigation; body: HTML."""

    key: str
    short: str
    title: str
    body: str


def all_sections(numbers: Numbers, drawn: set[str]) -> list[Section]:
    """In reading order; what an audit or a single judge cannot have is left out. drawn: the figure panels
    that have something to show."""
    runs = numbers.runs
    trained = not runs.is_audit
    roles = _panel("roles", drawn, _roles_caption(runs))
    found = [Section("results", "Results", "Results", _results(numbers))]
    found.append(Section("immersion", "Immersion", "Immersion", immersion.section(numbers)))
    found.append(Section("jailbreaks", "Jailbreaks", "Jailbreaks and judges", jailbreaks.section(numbers)))
    found.append(Section("outcomes", "Outcomes", "Outcomes", outcomes.section(numbers)))
    if len(runs.judges) > 1:
        found.append(Section("judges", "Judges", "Judges", agreement.section(numbers)))
    found.append(Section("roles", "Roles", "Role by role", roles))
    if trained or "flagged" in drawn:
        flagged = _panel("flagged", drawn, correlation(numbers))
        found.append(Section("flagged", "Flagged and lost", "Flagged rows and lost safety", flagged))
    pareto = _panel("pareto", drawn, _pareto_caption(numbers))
    found.append(Section("pareto", "Trade-off", "Role-play against safety", pareto))
    if trained or "curves" in drawn:
        curves = _panel("curves", drawn, _curves_caption(runs))
        found.append(Section("curves", "Training", "Training", curves))
    if trained or "gaps" in drawn:
        gaps = _panel("gaps", drawn, _gaps_caption(runs)) + _extremes(runs)
        found.append(Section("gaps", "Flagged rows", "Flagged training rows (RDS)", gaps))
    found.append(Section("transcripts", "Transcripts", "Transcripts", _transcripts(runs)))
    estimates = _estimates(len(estimate_rows(runs)[1]))
    found.append(Section("estimates", "Estimates", "Every estimate", estimates))
    found.append(Section("methods", "Methods", "Methods and provenance", provenance.section(runs)))
    return found


TESTED = (
    "Refusal prompt by prompt: how many only one of the two refuses, the exact two-sided McNemar p-value, "
    "and Holm's adjustment over the roles of one comparison (under 0.05: a difference in this very role)."
)
ONE_SEED = " First training seed alone: another seed may differ, which the test does not know."


def _results(numbers: Numbers) -> str:
    columns, rows = summary_table(numbers.runs, intervals=True, numbers=numbers)
    parts = [buttons("summary"), table(columns, rows, "summary")]
    flagged = "flagged: share of the role's rows that RDS flags. – means not measured, never zero."
    parts.append(note(f"{interval_note(numbers.runs)} {flagged}"))
    columns, rows = difference_table(numbers)
    if rows:
        parts += ["<h3>Paired differences</h3>", buttons("differences"), table(columns, rows, "differences")]
        what = (
            "Shares in percentage points, paired by role and prompt; ROUGE-L is paired by role. An interval "
            "that holds zero shows no difference; intervals are not corrected for the number of rows."
        )
        parts.append(note(what))
    columns, rows = mcnemar_table(numbers)
    if rows:
        body = (
            buttons("tested")
            + table(columns, rows, "tested")
            + note(TESTED + (ONE_SEED if numbers.runs.seeds else ""))
        )
        parts.append(folded("Role by role, tested", body))
    return "".join(parts)


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
    seeds = f"; line patterns tell seeds apart ({', '.join(map(str, runs.seeds))})" if runs.seeds else ""
    return f"Loss terms as logged, unsmoothed{seeds}. n: one line a run."


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
        parts.append(folded(title, table(columns, rows, f"rows-{number}")))
    return "".join(parts)


def _transcripts(runs: StudyRuns) -> str:
    seeds = "First seed of each method. " if runs.seeds else ""
    return (
        '<div class="filters" id="filters"></div><p class="note" id="shown" aria-live="polite"></p>'
        '<div id="items"></div><button type="button" id="more" hidden>Show more</button>'
        + note(
            f"{seeds}Prompts whose right answer of the aligned model "
            f"{'plain fine-tuning' if runs.first_method('sft') else 'a method'} turned wrong come first. "
            "Harmful prompts and the replies to them are not shown before you open them."
        )
    )


def _estimates(count: int) -> str:
    return (
        f"{buttons('every')}<details><summary>{count} estimates with n, errors and interval</summary>"
        '<div class="scroll tall" tabindex="0" role="region" aria-label="estimates table">'
        '<table id="every"></table></div></details>'
    )
