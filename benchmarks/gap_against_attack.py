"""Does the reward gap tell attack success? `python benchmarks/gap_against_attack.py STUDY_DIR...`

A point is one run (the aligned model, a method and seed, a checkpoint, a role), one language and one system
turn: the mean gap of its pairs suite beside the attack success on its harmful suite. Spearman's rank
correlation with a 95 % interval, over all points and over parts of them. Points of one run share a model and
points of one language share prompts, so the intervals are narrower than independent points would give;
the means over runs of each language and the languages of each run say how much of it holds within a part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from playsafe.records import parts
from playsafe.results import Run, load
from playsafe.statistics import spearman_interval


class Point(NamedTuple):
    study: str
    role: str
    method: str
    seed: int
    language: str
    system: str
    gap: float
    success: float


def points_of(study: str, run: Run) -> list[Point]:
    """Pairs suites of a run beside its plain harmful suites of the same language and system turn."""
    found = []
    for key in run.suites("pairs"):
        language, system = run.asked[key].get("language", ""), parts(key)[2]
        gap = run.estimate(key, "reward_gap")
        for other in run.suites("harmful"):
            success = run.estimate(other, "compliance")
            same = (run.asked[other].get("language", ""), *parts(other)[1:]) == (language, "", system)
            if same and gap is not None and success is not None and None not in (gap.value, success.value):
                seed = -1 if run.seed is None else run.seed
                who = (study, run.role or "", run.method, seed, language, system)
                found.append(Point(*who, float(gap.value or 0), float(success.value or 0)))
    return found


def correlation(points: Sequence[Point]) -> dict[str, float | int | None]:
    if len(points) < 4:
        return {"n": len(points), "spearman": None, "low": None, "high": None}
    value, low, high = spearman_interval([p.gap for p in points], [p.success for p in points])
    numbers = {"spearman": value, "low": low, "high": high}
    return {"n": len(points)} | {k: None if v != v else round(v, 3) for k, v in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    points: list[Point] = []
    for directory in options.studies:
        runs = load(directory)
        points += [p for run in (*runs.base, *runs.trained) for p in points_of(directory.name, run)]
    points = list(dict.fromkeys(points))
    seen = {p[1:]: p for p in points if p.method == "base"}  # one aligned model, whatever study asked it
    points = [p for p in points if p.method != "base"] + list(seen.values())
    cuts: dict[str, Callable[[Point], str]] = {
        "study": lambda p: p.study,
        "language": lambda p: p.language,
        "system turn": lambda p: p.system,
        "method": lambda p: p.method,
    }
    found: dict[str, dict[str, dict[str, float | int | None]]] = {"all": {"": correlation(points)}}
    for name, cut in cuts.items():
        values = sorted({cut(p) for p in points})
        found[name] = {value: correlation([p for p in points if cut(p) == value]) for value in values}
    print("| points | part | n | Spearman | 95 % interval |\n| --- | --- | --- | --- | --- |")
    for name, values in found.items():
        for value, c in values.items():
            shown = ("–", "–") if c["spearman"] is None else (c["spearman"], f"[{c['low']}, {c['high']}]")
            print(f"| {name} | {value} | {c['n']} | {shown[0]} | {shown[1]} |")
    if options.out:
        columns = list(Point._fields)
        rows = [[round(cell, 4) if isinstance(cell, float) else cell for cell in point] for point in points]
        parts_of = [
            f'"{key}": {json.dumps(value)}' for key, value in (("correlation", found), ("columns", columns))
        ]
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        options.out.write_text("{" + ",\n".join(parts_of) + f',\n"points": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
