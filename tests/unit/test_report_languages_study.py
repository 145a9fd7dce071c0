"""`write_languages`: a study of several languages without a role, on disk, whose numbers are known."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from test_report_study import TALK, Values, write_json, write_jsonl, write_values

from playsafe import metrics
from playsafe.records import Completion, Estimate, Verdict, key_of
from playsafe.results import load
from playsafe.statistics import wilson

LANGUAGES = ("en", "de", "es", "fr")
N = 40
ANSWERED = {  # of 40 harmful prompts, first seed; each later seed answers one more, English aside
    "base": {"en": 2, "de": 20, "es": 22, "fr": 24},
    "mpo": {"en": 2, "de": 3, "es": 4, "fr": 4},
    "dpo": {"en": 2, "de": 12, "es": 14, "fr": 16},
}
GAPS = {  # nats per token
    "base": {"en": 1.9, "de": 0.8, "es": 0.7, "fr": 0.5},
    "mpo": {"en": 1.9, "de": 1.8, "es": 1.7, "fr": 1.6},
    "dpo": {"en": 2.0, "de": 1.3, "es": 1.2, "fr": 1.1},
}
DEARER = {"base": 1.0, "mpo": 1.02, "dpo": 1.25}


def share(key: str, metric: str, judge: str, hits: int, n: int = N) -> dict[str, Any]:
    value, low, high = wilson(hits, n)
    return asdict(Estimate(key, metric, judge, value, n, 0, low, high))


def score(key: str, metric: str, value: float, half: float) -> dict[str, Any]:
    found = Estimate(key, metric, "none", value, N, 0, value - half, value + half, "bootstrap")
    return asdict(found)


def first(hits: int) -> list[float | None]:
    return [float(n < hits) for n in range(N)]


def answers(path: Path, method: str, seed: int, languages: tuple[str, ...], turns: tuple[str, ...]) -> Any:
    """Write replies and verdicts of one run; returns a part of its summary."""
    estimates: list[dict[str, Any]] = []
    suites: dict[str, dict[str, Any]] = {}
    for language in languages:
        for turn in turns:
            complied = ANSWERED[method][language if language in LANGUAGES else "de"]
            complied += 0 if method == "base" or language == "en" else seed
            complied += 4 if turn == "empty" else 0
            for kind, name in (("harmful", "harmful"), ("benign", "benign"), ("task", "task")):
                key = key_of(f"{name}-{language}", "", turn)
                hits = {"harmful": complied, "benign": N - 2, "task": 30}[kind]
                ids = [f"{name}-{language}:{n}" for n in range(1, N + 1)]
                replies = [Completion(one, key, TALK[n >= hits], 9, "stop") for n, one in enumerate(ids)]
                prompts = [{"id": one, "text": f"SECRET {one}", "references": ["Aye."]} for one in ids]
                write_jsonl(path / "prompts" / f"{key}.jsonl", prompts)
                write_jsonl(path / "completions" / f"{key}.jsonl", map(asdict, replies))
                source = {"prompts": N, "source": f"{name}.csv", "language": language}
                suites[key] = {"kind": kind, **source}
                estimates.append(share(key, "other_language", "none", 1))
                values: dict[str, Values] = {"none": {"other_language": first(1)}}
                if kind == "task":
                    estimates.append(share(key, "exact_match", "none", hits))
                    cost = math.log(8.0 * DEARER[method]) + 0.01 * seed
                    estimates.append(score(key, "perplexity", math.exp(cost), 1.5))
                    spread = 0.0 if method == "base" else 0.2
                    costs = [cost + spread * (-1) ** n for n in range(N)]
                    values["none"] |= {"exact_match": first(hits), "perplexity": list(costs)}
                    write_values(path, key, ids, values)
                    continue
                verdicts = [
                    Verdict(one, "value", "comply" if n < hits else "refuse") for n, one in enumerate(ids)
                ]
                write_jsonl(path / "verdicts" / f"{key}.rules.jsonl", map(asdict, verdicts))
                named = ("refusal", "compliance", "safe") if kind == "harmful" else ("over_refusal",)
                for metric in named:
                    outcomes = metrics.get(metric).hits  # type: ignore[attr-defined]
                    count = sum(verdict.outcome in outcomes for verdict in verdicts)
                    estimates.append(share(key, metric, "rules", count))
                    values.setdefault("rules", {})[metric] = [
                        float(verdict.outcome in outcomes) for verdict in verdicts
                    ]
                write_values(path, key, ids, values)
            key = key_of(f"pairs-{language}", "", turn)
            suites[key] = {"kind": "pairs", "prompts": N, "source": "pairs.jsonl", "language": language}
            gap = GAPS[method][language if language in LANGUAGES else "de"]
            estimates.append(score(key, "reward_gap", gap - 0.01 * seed, 0.1))
            ids = [f"pairs-{language}:{n}" for n in range(1, N + 1)]
            gaps: Values = {"reward_gap": [gap - 0.01 * seed + 0.3 * (-1) ** n for n in range(N)]}
            write_values(path, key, ids, {"none": gaps})
    return {"estimates": estimates, "suites": suites}


def write_languages(
    root: Path,
    *,
    languages: tuple[str, ...] = LANGUAGES,
    methods: tuple[str, ...] = ("mpo", "dpo"),
    seeds: tuple[int, ...] = (0, 1, 2),
    turns: tuple[str, ...] = ("none",),
) -> Path:
    """A study without roles: the aligned model and one run per method and seed, as they are stored."""
    study = {
        "name": "four languages",
        "roles": None,
        "pairs": {"path": "tiny", "dominant": "en"},
        "methods": [{"name": method, "label": ""} for method in methods],
        "seeds": list(seeds),
        "evaluation": {"system": list(turns), "judges": [{"name": "rules"}]},
    }
    write_json(root / "study.json", study)
    common: dict[str, Any] = {"model": "/models/of/mine/tiny", "version": "0.1.0", "role": None, "tags": []}
    found = answers(root / "base", "base", 0, languages, turns)
    write_json(
        root / "base" / "summary.json", {**common, "kind": "base", "method": "base", "seed": None} | found
    )
    for method in methods:
        for seed in seeds:
            path = root / "no_role" / method / f"seed-{seed}"
            found = answers(path, method, seed, languages, turns)
            head = {"kind": "run", "method": method, "seed": seed, "training": {"rows": 9}}
            write_json(path / "summary.json", {**common, **head, **found})
            write_jsonl(path / "train.jsonl", _curve(languages, method, seed))
    return root


def _curve(languages: tuple[str, ...], method: str, seed: int) -> list[dict[str, Any]]:
    def probes(step: int) -> dict[str, float]:
        return {
            f"gap:pairs-{one}": 0.6 + 0.05 * step + 0.01 * seed + 0.1 * n for n, one in enumerate(languages)
        }

    rows: list[dict[str, Any]] = [{"step": 0, **probes(0)}]
    for step in range(1, 21):
        rows.append({"step": step, "loss": 2 / step, "gap": 1 / step, "retain": 1 / step})
        rows[-1] |= probes(step) if step % 10 == 0 else {}
    return rows


def test_the_study_holds_every_kind_of_suite(tmp_path: Path) -> None:
    runs = load(write_languages(tmp_path))
    assert {kind: len(runs.keys(kind)) for kind in ("harmful", "benign", "task", "pairs", "references")} == {
        "harmful": 4,
        "benign": 4,
        "task": 4,
        "pairs": 4,
        "references": 0,
    }
    assert (len(runs.base), len(runs.trained)) == (1, 6)
