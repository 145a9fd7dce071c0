"""Escaping, the only way from text to page: HTML text, JSON inside a script, labels of Plotly."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Sequence
from typing import Any

DASH = "–"  # shown where nothing was measured


def text(value: object) -> str:
    """Text for an HTML text node or a quoted attribute."""
    return html.escape(str(value), quote=True)


def embedded_json(value: Any) -> str:
    """JSON that no HTML parser can leave: no <, >, & and no line separators of JavaScript."""
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        raw = raw.replace(character, f"\\u{ord(character):04x}")
    return raw


def label(value: object, limit: int = 28) -> str:
    """Text for Plotly, which reads a little HTML in its labels; one line, cut at `limit` characters."""
    line = " ".join(str(value).split())
    return html.escape(line if len(line) <= limit else line[: limit - 1] + "…", quote=False)


def minus(value: float, digits: int) -> str:
    """A number with a true minus sign, and no minus before a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{minus(100 * value, digits)} %"


def number(value: float | None, unit: str) -> str:
    """A share in percent, a score with three decimals."""
    return percent(value) if unit == "share" else DASH if value is None else minus(value, 3)


def ends(low: float | None, high: float | None, unit: str) -> str:
    """An interval in the unit of its value, without the sign of it."""
    if low is None or high is None:
        return ""
    scale, digits = (100, 1) if unit == "share" else (1, 3)
    return f"[{minus(scale * low, digits)}, {minus(scale * high, digits)}]"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], key: str, caption: str = "", tall: bool = False
) -> str:
    """An HTML table in a box that scrolls sideways (a tall one also down); the first column heads its row."""
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    note = f"<caption>{text(caption)}</caption>" if caption else ""
    box = "scroll tall" if tall else "scroll"
    return (
        f'<div class="{box}" tabindex="0" role="region" aria-label="{text(key)}"><table id="{text(key)}">'
        f"{note}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def note(sentence: str) -> str:
    return f'<p class="note">{text(sentence)}</p>'


def buttons(key: str) -> str:
    """Copy and download of the table with this key."""
    return (
        f'<p class="tools"><button type="button" data-copy="{text(key)}">Copy as Markdown</button>'
        f'<button type="button" data-csv="{text(key)}">Download CSV</button></p>'
    )


def folded(title: str, body: str) -> str:
    """HTML behind a line that opens it."""
    return f"<details><summary>{text(title)}</summary>{body}</details>"


def panel(key: str, drawn: Collection[str], caption: str) -> str:
    """The place of a figure with its caption. drawn: the figures that have something to show."""
    if key not in drawn:
        return note(f"Nothing to draw. {caption}")
    return (
        f'<figure><div class="choices" data-choices="{key}"></div><div class="plot" data-panel="{key}"></div>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def tabs(key: str, panels: Sequence[tuple[str, str]]) -> str:
    """Panels of HTML of which page.js shows one; without scripts all stand below each other."""
    if len(panels) == 1:
        return panels[0][1]
    inner = "".join(
        f'<div data-tab="{text(name)}"><h3>{text(name)}</h3>{body}</div>' for name, body in panels
    )
    return f'<div data-tabs="{text(key)}">{inner}</div>'


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
