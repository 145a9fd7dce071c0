"""`playsafe evaluate` on base, SFT and SaRFT adapters: one command against one command each, in one run.

    python benchmarks/adapters_one_pass.py [--repeats 3] [--out FILE]

Two small adapters of the embedded model are trained first (not timed). "One by one" is what a user would do
otherwise: a command for the base model and one for each adapter, into one directory (the base is evaluated
once) or each into its own (with the base in each, as every difference needs it). All numbers must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environment import describe

STUDY = """
output_dir: {out}
roles: {{names: [Skarn]}}
training: {{lora: {{r: 4, lora_alpha: 8}}, learning_rate: 5.0e-3, per_device_train_batch_size: 16,
  gradient_accumulation_steps: 1, max_steps: 20}}
evaluation:
  system: [none, role]
  generation: {{max_new_tokens: 48, batch_size: 128}}
"""


def playsafe(*arguments: str) -> float:
    """Seconds that a command takes, its start included."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "playsafe.cli", *arguments, "--quiet"],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - start


def estimates(run: Path) -> list[object]:
    return list(json.loads((run / "summary.json").read_text())["estimates"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    config = folder / "study.yaml"
    config.write_text(STUDY.format(out=folder / "trained"))
    playsafe("train", str(config))
    names = ("sft", "sarft")
    targets = [f"{name}@Skarn={folder / 'trained/Skarn' / name / 'seed-0/adapter'}" for name in names]
    base = ["--set", "targets=[{name: base, role: Skarn}]"]
    times: dict[str, list[float]] = {"one pass": [], "one directory": [], "own directories": []}
    for repeat in range(options.repeats):
        place = folder / str(repeat)
        together = [word for target in targets for word in ("--adapter", target)]
        times["one pass"].append(playsafe("evaluate", str(config), *together, "--out", str(place / "one")))
        spent = [
            playsafe("evaluate", str(config), "--adapter", t, "--out", str(place / "shared")) for t in targets
        ]
        alone = playsafe("evaluate", str(config), *base, "--out", str(place / "base"))
        times["one directory"].append(alone + sum(spent))
        spent = [
            playsafe("evaluate", str(config), "--adapter", target, "--out", str(place / name))
            for name, target in zip(names, targets, strict=True)
        ]
        times["own directories"].append(alone + sum(spent))
        for name in names:
            assert estimates(place / "one/Skarn" / name) == estimates(place / name / "Skarn" / name)
            assert estimates(place / "one/Skarn" / name) == estimates(place / "shared/Skarn" / name)
        alone_found = estimates(place / "base/Skarn/base")
        for e in [*estimates(place / "one/base"), *estimates(place / "one/Skarn/base")]:
            assert e in alone_found
    shutil.rmtree(folder)
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    found = {
        "what": "playsafe evaluate on base, SFT and SaRFT of one role, system none and role",
        "seconds": median,
        "ratio to one directory": median["one pass"] / median["one directory"],
        "ratio to own directories": median["one pass"] / median["own directories"],
        "estimates": "equal",
        "repeats": options.repeats,
        "environment": describe(),
    }
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
