"""The page of a study: one HTML file that opens offline and asks the network for nothing.

Text from models, data and users is escaped into text nodes, or lies in a JSON block that page.js shows with
`textContent`. The content security policy names the scripts by hash, so no other script could ever run.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path

from plotly.offline import get_plotlyjs

from playsafe.report import agreement, figures, sections, training
from playsafe.report.analysis import Numbers
from playsafe.report.gate import gate_block, gate_json
from playsafe.report.load import NO_ROLE, StudyRuns, load_study_runs
from playsafe.report.markup import count, embedded_json, note, text
from playsafe.report.provenance import model_name
from playsafe.report.tables import estimate_rows, interval_note
from playsafe.report.transcripts import transcripts
from playsafe.report.verdict import headlines, verdict
from playsafe.report.warnings import warnings
from playsafe.rundir import write_json, write_text


def write_page(root: Path) -> Path:
    """Write `<root>/report.html` from the finished runs under `root`, and gate.json where there are gates."""
    path, runs = Path(root) / "report.html", load_study_runs(root)
    if (gates := gate_json(runs)) is not None:
        write_json(Path(root) / "gate.json", gates)
    page = build_page(runs)
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
        "reward": figures.reward(numbers),
    }
    columns, rows = estimate_rows(runs)
    estimates = {"columns": columns, "rows": rows}
    data = {"figures": panels, "transcripts": transcripts(runs), "estimates": estimates}
    if len(runs.judges) > 1:
        data["apart"] = agreement.disagreements(numbers)
    parts = sections.all_sections(numbers, {key for key, tabs in panels.items() if tabs})
    links = "".join(f'<a href="#{part.key}">{text(part.short)}</a>' for part in parts)
    body = "".join(
        f'<section id="{part.key}" aria-labelledby="{part.key}-title">'
        f'<h2 id="{part.key}-title">{text(part.title)}</h2>{part.body}</section>'
        for part in parts
    )
    scripts = [_inline(get_plotlyjs()), *(_inline(_asset(name)) for name in ("page.js", "replies.js"))]
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


def _header(numbers: Numbers) -> str:
    runs = numbers.runs
    models = sorted({model_name(run.model) for run in runs.base or runs.trained if run.model})
    counted = [(len([role for role in runs.roles if role != NO_ROLE]), "role")]
    counted.append((len(runs.methods), "target" if runs.is_audit else "method"))
    counted.append((len(runs.seeds), "training seed"))
    facts = [", ".join(models), *(count(number, noun) for number, noun in counted if number)]
    unbroken = [sentence.replace(" %", "\u00a0%") for sentence in verdict(numbers)]
    sentences = "".join(f"<p>{text(sentence)}</p>" for sentence in unbroken)
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
        f'<header><p class="brand">PlaySafe {"audit" if runs.is_audit else "study"}</p>'
        f"<h1>{text(runs.name)}</h1>"
        f'<p class="facts">{text(" · ".join(filter(None, facts)))}</p><div class="verdict">{sentences}</div>'
        f'<div class="cards">{cards}</div>'
        + note(f"{'Means over roles. ' if len(runs.roles) > 1 else ''}{interval_note(runs)}")
        + gate_block(runs)
        + (f'<ul class="warnings" aria-label="Warnings">{strip}</ul>' if strip else "")
        + "</header>"
    )
