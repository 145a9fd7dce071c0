"""Results of a study → one self-contained HTML page, tables and figures. Imports no torch."""

from __future__ import annotations

from playsafe.report.page import write_page
from playsafe.report.tables import interval_note, summary_table

__all__ = ["interval_note", "summary_table", "write_page"]
