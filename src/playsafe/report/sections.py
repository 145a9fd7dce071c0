"""The sections under the page's header: tables, figure places with captions."""

from __future__ import annotations

from typing import NamedTuple

from playsafe.report import agreement, immersion, jailbreaks, languages_page, outcomes, provenance
from playsafe.report.analysis import Numbers
from playsafe.report.load import StudyRuns
from playsafe.report.markup import DASH, buttons, count, folded, note, panel, percent, table
from playsafe.report.tables import (
    difference_table,
    estimate_rows,
    interval_note,
    mcnemar_table,
    summary_table,
    unjudged_table,
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
    """In reading order; what an audit, a single judge, one language or nobody's role cannot have is left
    out. drawn: the figure panels that have something to show."""
    runs = numbers.runs
    trained, played = not runs.is_audit, not runs.roleless
    found = []
    if len(runs.languages) > 1:
        body = languages_page.section(numbers, drawn)
        found.append(Section("languages", "Languages", "Languages", body))
    found.append(Section("results", "Results", "Results", _results(numbers)))
    if played or runs.keys("dark"):
        found.append(Section("immersion", "Immersion", "Immersion", immersion.section(numbers)))
    found.append(Section("jailbreaks", "Jailbreaks", "Jailbreaks and judges", jailbreaks.section(numbers)))
    found.append(Section("outcomes", "Outcomes", "Outcomes", outcomes.section(numbers)))
    if len(runs.judges) > 1:
        found.append(Section("judges", "Judges", "Judges", agreement.section(numbers)))
    if played:
        roles = panel("roles", drawn, _roles_caption(runs))
        found.append(Section("roles", "Roles", "Role by role", roles))
    if (trained and played) or "flagged" in drawn:
        flagged = panel("flagged", drawn, correlation(numbers))
        found.append(Section("flagged", "Flagged and lost", "Flagged rows and lost safety", flagged))
    if played or "pareto" in drawn:
        pareto = panel("pareto", drawn, _pareto_caption(numbers))
        found.append(Section("pareto", "Trade-off", "Role-play against safety", pareto))
    if trained or "curves" in drawn:
        curves = panel("curves", drawn, _curves_caption(runs))
        found.append(Section("curves", "Training", "Training", curves))
    if (trained and played) or "gaps" in drawn:
        gaps = panel("gaps", drawn, _gaps_caption(runs)) + _extremes(runs)
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
TESTED_ONCE = (
    "Refusal prompt by prompt, the suites together: how many only one of the two refuses, and the exact "
    "two-sided McNemar p-value of every comparison."
)
ONE_SEED = " First training seed alone: another seed may differ, which the test does not know."


def _results(numbers: Numbers) -> str:
    columns, rows = summary_table(numbers.runs, intervals=True, numbers=numbers)
    parts = [buttons("summary"), table(columns, rows, "summary")]
    roleless = numbers.runs.roleless
    flagged = "" if roleless else "flagged: share of the role's rows that RDS flags. "
    parts.append(note(f"{interval_note(numbers.runs)} {flagged}– means not measured, never zero."))
    columns, rows = unjudged_table(numbers)
    if rows and len(numbers.runs.languages) < 2:  # else the section of languages has them
        parts += ["<h3>Tasks and reward gap</h3>", buttons("unjudged"), table(columns, rows, "unjudged")]
    columns, rows = difference_table(numbers)
    if rows:
        parts += ["<h3>Paired differences</h3>", buttons("differences"), table(columns, rows, "differences")]
        paired = "seed and prompt" if roleless else "role and prompt; ROUGE-L is paired by role"
        what = (
            f"Shares in percentage points, paired by {paired}. An interval "
            "that holds zero shows no difference; intervals are not corrected for the number of rows."
        )
        parts.append(note(what))
    columns, rows = mcnemar_table(numbers)
    if rows:
        body = (
            buttons("tested")
            + table(columns, rows, "tested")
            + note((TESTED_ONCE if roleless else TESTED) + (ONE_SEED if numbers.runs.seeds else ""))
        )
        parts.append(folded("Prompt by prompt, tested" if roleless else "Role by role, tested", body))
    return "".join(parts)


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
