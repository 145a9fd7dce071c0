"""The lab book's tables of a study in several languages: `python benchmarks/language_table.py STUDY_DIR`.

Per method: attack success in the dominant language and in the others, the share of the aligned model's
difference that is closed, and per language over-refusal, exact match, change of perplexity and reward gap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from effect_table import cell, row
from playsafe.report import load_study_runs
from playsafe.report.analysis import Numbers, Stat
from playsafe.report.languages import Languages


def fine(stat: Stat | None) -> str:
    """Nats per token, with two digits."""
    if stat is None:
        return "–"
    return f"{stat.value:.2f} [{stat.low:.2f}, {stat.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    options = parser.parse_args()
    runs = load_study_runs(options.study)
    found = Languages(Numbers(runs))
    languages = [str(runs.dominant), *found.others]
    methods = ["base", *runs.methods]
    print(row("method", *(f"attack success, {code}" for code in languages), "difference", "closed"))
    print(row(*["---"] * (len(languages) + 3)))
    for method in methods:
        success = [cell(found.measured(method, "compliance", code)) for code in languages]
        closed = "–" if method == "base" else cell(found.closed(method))
        print(row(method, *success, cell(found.apart(method)), closed))
    for metric in ("over_refusal", "exact_match", "other_language", "reward_gap"):
        shown = fine if metric == "reward_gap" else cell
        print(f"\n{metric}\n\n{row('method', *languages)}\n{row(*['---'] * (len(languages) + 1))}")
        for method in methods:
            print(row(method, *(shown(found.measured(method, metric, c)) for c in languages)))
    print(f"\nperplexity, change in %\n\n{row('method', *languages)}\n{row(*['---'] * (len(languages) + 1))}")
    for method in runs.methods:
        print(row(method, *(cell(found.dearer(method, code)) for code in languages)))


if __name__ == "__main__":
    main()
