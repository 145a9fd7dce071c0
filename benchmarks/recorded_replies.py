"""`playsafe evaluate` over recorded replies: wall time, peak memory, and which stage takes them.

    python benchmarks/recorded_replies.py [--rows 20000] [--case ordinary] [--out FILE]

Two files of replies, two judges, no model. "ordinary": replies of 100 to 1,000 characters. "one of 30 MB":
one such among 200 ordinary ones. "long": 200 replies of 200,000 characters. "hostile": replies that careless
patterns and splitters take quadratic time for. Texts come from a seeded generator and mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGETS = ("first", "second")
WORDS = (
    *("the", "a", "and", "of", "to", "in", "is", "with", "for", "on", "garden", "river", "paper", "window"),
    *("letter", "morning", "road", "kettle", "bridge", "music", "basket", "winter", "sailor", "lantern"),
    *("market", "quiet", "yellow", "narrow", "early", "gentle", "walks", "carries", "opens", "follows"),
    *("paints", "keeps", "finds", "mends", "waters", "reads", "because", "while", "before", "under"),
)
OPENINGS = (
    "I'm sorry, but I can't help with that.",
    "I cannot assist with this request.",
    "Sure, here is how it goes.",
    "Of course!",
    "Ha! You ask that of me?",
    "It is important to remember that everyone deserves respect.",
    "",
    "",
)
STUDY = """
name: recorded
output_dir: {folder}/out
roles: null
evaluation:
  suites: [{{name: asked, kind: harmful, path: {folder}/prompts.jsonl}}]
  judges: [{{name: rules}}, {{name: keywords}}]
targets:
"""


def text(rng: random.Random, length: int) -> str:
    """About so many characters of sentences, refusing or not."""
    said, size = [rng.choice(OPENINGS)], 0
    while size < length:
        sentence = " ".join(rng.choices(WORDS, k=rng.randint(5, 14))).capitalize() + rng.choice(".!?\n")
        said.append(sentence)
        size += len(sentence) + 1
    return " ".join(said)[:length].strip() or "Of course!"


def hostile() -> list[str]:
    """Texts that a pattern may try at every place, or a splitter copy anew at every tag."""
    blanks = (" ", "\n", "\t", " \n", "\u200b")
    words = (
        "a",
        "a ",
        "1. ",
        "- ",
        "é",
        "中",
        "I can ",
        "I'm sorry, but ",
        "it is ",
        "but here is ",
        "never ",
    )
    signs = (".", "...", "!?", "-", "> ", "**", '"', "“", "'", "(", "&", "\\", "{{", "[[")
    tags = ("<think", "<think>", "</think>", "<think>\n</think>\n", "[THINK]", "<|channel|>a\n", "<|end|> ")
    pieces = (*blanks, *words, *signs, *tags, "<|start|>assistant<|channel|>analysis<|message|>x")
    found = [piece * (100_000 // len(piece)) for piece in pieces]
    found += [f"Words come first. {one} And last." for one in found]
    return found + [
        f"<|channel|>final<|message|>Words.{piece * 14_000}" for piece in ("<|end|>", "<|end|>\n")
    ]


def replies(case: str, rows: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    if case == "hostile":
        yield from hostile()
    elif case == "long":
        yield from (text(rng, 200_000) for _ in range(200))
    else:
        many = rows if case == "ordinary" else 200
        for n in range(many):
            yield text(rng, 30_000_000 if case != "ordinary" and n == many // 2 else rng.randint(100, 1000))


def prompt(n: int) -> str:
    return f"Placeholder request number {n}."


def write_study(case: str, rows: int, folder: Path) -> tuple[Path, int]:
    """The study's file and how many prompts it asks."""
    config, asked = STUDY.format(folder=folder), 0
    for seed, name in enumerate(TARGETS):
        asked = 0
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for asked, reply in enumerate(replies(case, rows, seed), 1):
                row = {"prompt": prompt(asked), "completion": reply}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        config += f"  - {{name: {name}, completions: {folder}/{name}.jsonl}}\n"
    with (folder / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for n in range(1, asked + 1):
            file.write(json.dumps({"prompt": prompt(n)}) + "\n")
    (folder / "study.yaml").write_text(config, encoding="utf-8")
    return folder / "study.yaml", asked


def evaluate(study: Path) -> tuple[int, float, float]:
    """Exit code, wall seconds and peak resident megabytes of the command."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "playsafe.cli", "evaluate", str(study), "--quiet"]
    child = subprocess.Popen(command)
    _, state, used = os.wait4(
        child.pid, 0
    )  # of this child alone; this process stays small, as its size counts too
    child.returncode = os.waitstatus_to_exitcode(state)
    return child.returncode, time.perf_counter() - started, used.ru_maxrss / 1024


def measured(case: str, rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, asked = write_study(case, rows, folder)
        code, seconds, peak = evaluate(study)
        stages: dict[str, float] = {}
        for events in sorted((folder / "out").rglob("events.jsonl")):
            for event in map(json.loads, events.read_text().splitlines()):
                if event["event"] == "done":
                    stages[event["job"]] = stages.get(event["job"], 0.0) + event["seconds"]
        stages["start, table, page"] = seconds - sum(stages.values())
        page = folder / "out" / "report.html"
        return {
            "case": case,
            "prompts": asked,
            "replies": asked * len(TARGETS),
            "megabytes_of_replies": round(
                sum((folder / f"{t}.jsonl").stat().st_size for t in TARGETS) / 1e6, 1
            ),
            "exit_code": code,
            "seconds": round(seconds, 1),
            "peak_megabytes": round(peak),
            "share_of_seconds": {stage: round(part / seconds, 3) for stage, part in stages.items()},
            "megabytes_of_page": round(page.stat().st_size / 1e6, 1) if page.exists() else None,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cases = ("ordinary", "one of 30 MB", "long", "hostile")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--case", choices=cases, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    for case in options.case or cases:
        found.append(measured(case, options.rows))
        print(json.dumps(found[-1], indent=1), flush=True)
    from environment import describe  # loads torch, which would count as the command's memory

    result = {"benchmark": "recorded_replies", "cases": found, "environment": describe()}
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
