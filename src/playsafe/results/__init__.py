"""Run directories → typed results: runs, values, numbers with intervals, gates. Imports no torch."""

from __future__ import annotations

from playsafe.results.gates import decisions, gate_json, gate_table
from playsafe.results.load import BASE, Run, StudyRuns, load
from playsafe.results.numbers import Numbers, Stat

__all__ = ["BASE", "Numbers", "Run", "Stat", "StudyRuns", "decisions", "gate_json", "gate_table", "load"]
