"""The tables of docs/lab-book.md from a finished study: `python benchmarks/effect_table.py STUDY_DIR`.

Per role and method: refusal on held-out harmful prompts, over-refusal, ROUGE-L and flagged share, with
intervals; then the differences between methods by temper, and the correlation of flagged share with the
safety that plain fine-tuning loses.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from playsafe.results import Numbers, Stat, load

METRICS = ("refusal", "over_refusal", "rouge_l")


def cell(stat: Stat | None, scale: float = 100.0) -> str:
    """A number with its interval, in percent or points."""
    if stat is None or math.isnan(stat.value):
        return "–"
    return f"{scale * stat.value:.1f} [{scale * stat.low:.1f}, {scale * stat.high:.1f}]"


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--roles", action="store_true", help="a row for each role and method")
    options = parser.parse_args()
    runs = load(options.study)
    numbers = Numbers(runs)
    tempers = {temper: runs.of_temper(temper) for temper in runs.tempers}
    seeds = sorted({run.seed for run in runs.trained if run.seed is not None})
    print(f"Seeds {seeds}; {len(runs.roles)} roles; values in %, 95 % intervals.\n")
    if options.roles:
        print(row("role", "temper", "flagged", "method", *METRICS))
        print(row(*["---"] * 7))
        for temper, names in tempers.items():
            for role in names:
                share = numbers.flagged(role)
                for method in ["base", *runs.methods]:
                    found = [cell(numbers.cell(role, method, metric)) for metric in METRICS]
                    print(row(role, temper, "–" if share is None else f"{100 * share:.1f}", method, *found))
        print()
    print(row("temper", "method", *METRICS, "refusal − sft", "ROUGE-L − sft"))
    print(row(*["---"] * 7))
    for temper, names in {**tempers, "all": runs.roles}.items():
        for method in ["base", *runs.methods]:
            means = [cell(numbers.mean(method, metric, names)) for metric in METRICS]
            against = [
                "" if method == "sft" else cell(numbers.difference(method, "sft", metric, names))
                for metric in ("refusal", "rouge_l")
            ]
            print(row(temper, method, *means, *against))
    rho = numbers.correlation()
    if rho is not None:
        print(
            f"\nSpearman of flagged share and SFT's loss of refusal over {len(runs.roles)} roles: "
            f"{-rho.value:.2f} [{-rho.high:.2f}, {-rho.low:.2f}]"
        )


if __name__ == "__main__":
    main()
