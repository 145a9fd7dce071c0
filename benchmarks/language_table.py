"""The lab book's tables of a study in several languages: `python benchmarks/language_table.py STUDY_DIR`.

Per method: attack success in the dominant language and in the others, the share of the aligned model's
difference that is closed, and per language over-refusal, exact match, change of perplexity and reward gap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from effect_table import cell, row
from playsafe import metrics
from playsafe.results import Numbers, Stat, load
from playsafe.results.languages import Languages


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
    runs = load(options.study)
    found = Languages(Numbers(runs))
    languages = [str(runs.dominant), *found.others]
    methods = ["base", *runs.methods]
    print(row("method", *(f"attack success, {code}" for code in languages), "difference", "closed"))
    print(row(*["---"] * (len(languages) + 3)))
    for method in methods:
        success = [cell(found.measured(method, found.attack, code)) for code in languages]
        closed = "–" if method == "base" else cell(found.closed(method))
        print(row(method, *success, cell(found.apart(method)), closed))
    for name in ("over_refusal", "exact_match", "other_language", "reward_gap"):
        metric = metrics.get(name)
        shown = cell if metric.is_share else fine
        print(f"\n{name}\n\n{row('method', *languages)}\n{row(*['---'] * (len(languages) + 1))}")
        for method in methods:
            print(row(method, *(shown(found.measured(method, metric, c)) for c in languages)))
    print(f"\nperplexity, change in %\n\n{row('method', *languages)}\n{row(*['---'] * (len(languages) + 1))}")
    for method in runs.methods:
        print(
            row(method, *(cell(found.change(method, metrics.get("perplexity"), code)) for code in languages))
        )


if __name__ == "__main__":
    main()
