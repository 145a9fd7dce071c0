"""The page of a study: one HTML file that opens offline and asks the network for nothing.

Text from models, data and users is escaped into text nodes, or lies in a JSON block that page.js shows with
`textContent`. The content security policy names the scripts by hash, so no other script could ever run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from playsafe.report import figures, training
from playsafe.report.analysis import Numbers
from playsafe.report.load import StudyRuns, load_study_runs
from playsafe.report.markup import DASH, embedded_json, percent, table, text
from playsafe.report.tables import difference_table, estimate_rows, interval_note, summary_table
from playsafe.report.transcripts import transcripts
from playsafe.report.verdict import correlation, headlines, verdict, warnings
from playsafe.rundir import write_text

EXTREMES = 12  # most and least flagged rows shown per role


def write_page(root: Path) -> Path:
    """Write `<root>/report.html` from the finished runs under `root`."""
    path = Path(root) / "report.html"
    page = build_page(load_study_runs(root))
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))  # half a surrogate pair has no bytes
    return path


def build_page(runs: StudyRuns) -> str:
    numbers = Numbers(runs)
    panels = {
        "roles": figures.roles(numbers),
        "flagged": figures.flagged(numbers),
        "pareto": figures.pareto(numbers),
        "curves": training.curves(runs),
        "gaps": training.gaps(runs),
    }
    columns, rows = estimate_rows(runs)
    data = {
        "figures": panels,
        "transcripts": transcripts(runs),
        "estimates": {"columns": columns, "rows": rows},
    }
    sections = [
        ("results", "Results", _results(numbers)),
        ("roles", "Role by role", _panel("roles", panels, _roles_caption(runs))),
        ("flagged", "Flagged rows and lost safety", _panel("flagged", panels, correlation(numbers))),
        ("pareto", "Role-play against safety", _panel("pareto", panels, _pareto_caption(numbers))),
        ("curves", "Training", _panel("curves", panels, _curves_caption(runs))),
        (
            "gaps",
            "Flagged training rows (RDS)",
            _panel("gaps", panels, _gaps_caption(runs)) + _extremes(runs),
        ),
        ("transcripts", "Transcripts", _transcripts()),
        ("estimates", "Every estimate", _estimates(len(rows))),
        ("methods", "Methods and provenance", _provenance(runs)),
    ]
    links = "".join(f'<a href="#{key}">{text(title)}</a>' for key, title, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{text(title)}</h2>'
        f"{inner}</section>"
        for key, title, inner in sections
    )
    scripts = [_inline(get_plotlyjs()), _inline(_asset("page.js"))]
    policy = (
        "default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; "
        f"base-uri 'none'; form-action 'none'; script-src {' '.join(_hash(script) for script in scripts)}"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{text(runs.name)} · PlaySafe</title><style>{_asset('page.css')}</style></head><body>"
        f'{_header(numbers)}<nav aria-label="Sections">{links}</nav><main>{body}</main>'
        '<noscript><p class="note">Figures and transcripts need JavaScript; the tables do not.</p></noscript>'
        f'<script type="application/json" id="data">{embedded_json(data)}</script>'
        + "".join(f"<script>{script}</script>" for script in scripts)
        + "</body></html>\n"
    )


def _asset(name: str) -> str:
    return (resources.files("playsafe.report") / name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script of ours or of Plotly's, which must not end its own element."""
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script holds text that ends or hides its element")
    return script


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


# --- sections ---------------------------------------------------------------------------------------------


def _header(numbers: Numbers) -> str:
    runs = numbers.runs
    models = sorted({run.model for run in (*runs.base, *runs.trained) if run.model})
    facts = [", ".join(models), _count(len(runs.roles), "role"), _count(len(runs.methods), "method")]
    facts.append(_count(len(runs.seeds), "training seed"))
    sentences = "".join(f"<p>{text(sentence)}</p>" for sentence in verdict(numbers))
    strip = "".join(f"<li>{text(warning)}</li>" for warning in warnings(numbers))
    cards = "".join(
        f'<article class="card s{number % 8}"><h3>{text(method)}</h3><dl>'
        + "".join(
            f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(interval)}</small></dd></div>"
            for name, value, interval in measures
        )
        + "</dl></article>"
        for number, (method, measures) in enumerate(headlines(numbers))
    )
    return (
        f'<header><p class="brand">PlaySafe study</p><h1>{text(runs.name)}</h1>'
        f'<p class="facts">{text(" · ".join(filter(None, facts)))}</p><div class="verdict">{sentences}</div>'
        f'<div class="cards">{cards}</div>'
        f'<p class="note">Means over roles with 95 % intervals. {text(interval_note(runs))}</p>'
        + (f'<ul class="warnings" aria-label="Warnings">{strip}</ul>' if strip else "")
        + "</header>"
    )


def _results(numbers: Numbers) -> str:
    columns, rows = summary_table(numbers.runs, intervals=True, numbers=numbers)
    parts = [_buttons("summary"), table(columns, rows, "summary")]
    note = "flagged: share of the role's rows that RDS flags. – means not measured, never zero."
    parts.append(_note(f"{interval_note(numbers.runs)} {note}"))
    columns, rows = difference_table(numbers)
    if rows:
        parts += ["<h3>Paired differences</h3>", _buttons("differences"), table(columns, rows, "differences")]
        note = "Shares in percentage points, paired by role and prompt. An interval that holds zero shows no "
        parts.append(_note(note + "difference; intervals are not corrected for the number of rows."))
    return "".join(parts)


def _note(sentence: str) -> str:
    return f'<p class="note">{text(sentence)}</p>'


def _panel(key: str, panels: dict[str, figures.Tabs], caption: str) -> str:
    if not panels[key]:
        return _note(f"Nothing to draw. {caption}")
    return (
        f'<figure><div class="choices" data-choices="{key}"></div><div class="plot" data-panel="{key}"></div>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def _roles_caption(runs: StudyRuns) -> str:
    roles = _count(len(runs.roles), "role")
    return f"{roles}, sorted by temper. {interval_note(runs)} Point at a bar for its n."


def _pareto_caption(numbers: Numbers) -> str:
    roles, suites = len(numbers.runs.roles), ", ".join(numbers.runs.suites("harmful")) or DASH
    return (
        f"Up and right is better. Large: mean over roles (n = {roles}) with 95 % intervals on both axes; "
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


def _gaps(runs: StudyRuns, panels: dict[str, figures.Tabs]) -> str:
    return _panel("gaps", panels, _gaps_caption(runs)) + _extremes(runs)


def _extremes(runs: StudyRuns) -> str:
    """Rows with the largest and smallest gap of each role, their text where it was stored."""
    parts = []
    for role, scores in sorted(runs.scores.items()):
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
        body = table(columns, rows, f"rows of {role}")
        parts.append(f"<details><summary>{text(title)}</summary>{body}</details>")
    return "".join(parts)


def _transcripts() -> str:
    return (
        '<div class="filters" id="filters"></div><p class="note" id="shown" aria-live="polite"></p>'
        '<div id="items"></div><button type="button" id="more" hidden>Show more</button>'
        + _note(
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
