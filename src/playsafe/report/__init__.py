"""Run directories → one self-contained HTML page, tables and figures. Imports no torch."""

from __future__ import annotations

from playsafe.report.gate import gate_table
from playsafe.report.load import StudyRuns, load_study_runs
from playsafe.report.page import write_page
from playsafe.report.tables import interval_note, summary_table

__all__ = ["StudyRuns", "gate_table", "interval_note", "load_study_runs", "summary_table", "write_page"]
