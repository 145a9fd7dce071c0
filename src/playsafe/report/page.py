"""The page of a study: one HTML file that opens offline and asks the network for nothing.

The HTML stands in templates that escape every text; texts of models and data lie in a JSON block that page.js
shows with `textContent`. The content security policy names the scripts by hash, so no other script could
ever run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from playsafe.report import figures, training
from playsafe.report.provenance import model_name
from playsafe.report.sections import all_sections, gate_block
from playsafe.report.tables import estimate_rows, interval_note
from playsafe.report.text import count, embedded_json, ends, number, percent, signed
from playsafe.report.transcripts import disagreements, transcripts
from playsafe.report.verdict import headlines, verdict
from playsafe.report.warnings import warnings
from playsafe.results.gates import gate_json
from playsafe.results.load import NO_ROLE, StudyRuns, load
from playsafe.results.numbers import Numbers
from playsafe.rundir import write_json, write_text

_ENDS = re.compile("</script|<!--", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")


def write_page(root: Path) -> Path:
    """Write `<root>/report.html` from the finished runs under `root`, and gate.json where there are gates."""
    path, runs = Path(root) / "report.html", load(root)
    if (gates := gate_json(runs)) is not None:
        write_json(Path(root) / "gate.json", gates)
    write_text(path, _HALF.sub("?", build_page(runs)))  # half a surrogate pair has no bytes
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
    drawn = {key for key, tabs in panels.items() if tabs}
    columns, rows = estimate_rows(runs)
    estimates = {"columns": columns, "rows": rows}
    data = {"figures": panels, "transcripts": transcripts(runs), "estimates": estimates}
    if len(runs.judges) > 1:
        data["apart"] = disagreements(numbers)
    scripts = [_inline(get_plotlyjs()), *(_inline(_asset(name)) for name in ("page.js", "replies.js"))]
    return templates().get_template("page.html").render(
        runs=runs,
        drawn=drawn,
        sections=all_sections(numbers, drawn),
        head=_header(numbers),
        hashes=[_hash(script) for script in scripts],
        style=Markup(_asset("page.css")),
        scripts=scripts,
        data=Markup(embedded_json(data)),
    )  # fmt: skip


@cache
def templates() -> Environment:
    """They escape every text and refuse a name that nobody gave them."""
    made = Environment(
        loader=PackageLoader("playsafe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = percent
    made.globals |= {"number": number, "ends": ends, "signed": signed}
    return made


def _asset(name: str) -> str:
    return (resources.files("playsafe.report") / name).read_text(encoding="utf-8")


def _inline(script: str) -> Markup:
    """A script of ours or of Plotly's, which must not end its own element."""
    if _ENDS.search(script):  # without a copy of megabytes in lower case
        raise ValueError("a script holds text that ends or hides its element")
    return Markup(script)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _header(numbers: Numbers) -> dict[str, Any]:
    """What stands above the sections."""
    runs = numbers.runs
    models = sorted({model_name(run.model) for run in runs.base or runs.trained if run.model})
    counted = [(len([role for role in runs.roles if role != NO_ROLE]), "role")]
    counted.append((len(runs.methods), "target" if runs.is_audit else "method"))
    counted.append((len(runs.seeds), "training seed"))
    facts = [", ".join(models), *(count(n, noun) for n, noun in counted if n)]
    facts += [f"embedded prompts: {', '.join(runs.embedded)}"] if runs.embedded else []
    return {
        "facts": [fact for fact in facts if fact],
        "verdict": [sentence.replace(" %", "\u00a0%") for sentence in verdict(numbers)],
        "cards": headlines(numbers),
        "note": interval_note(runs),
        "gates": gate_block(runs),
        "warnings": warnings(numbers),
    }
