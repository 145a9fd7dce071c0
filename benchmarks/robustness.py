"""What happens to a study that is killed, interrupted, out of disk, damaged, or begun twice.

    python benchmarks/robustness.py [signals kills disk damage unfinished twice] [--times 40] [--out F]

A small study of the embedded model is run whole once; every other run must end with the same estimates, lose
nothing that was finished and leave nothing behind. Full disks are small tmpfs mounts (root is needed).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import playsafe.study.run  # noqa: F401  what `forked` needs is imported once
from playsafe.cli import app  # noqa: F401

STUDY: dict[str, Any] = {
    "roles": {"names": ["Oluna"]},
    "data": {"limit": 48},
    "training": {
        "max_steps": 24,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "save_steps": 8,
        "logging_steps": 4,
    },
    "methods": ["sft", "sarft"],
    "evaluation": {
        "suites": [{"name": "harmful", "path": "tiny:harmful", "limit": 24}],
        "generation": {"max_new_tokens": 16},
    },
}
LINE = "interrupted; repeat the command to continue\n"
Problem = str


class Bench:
    """A place to work in, and the estimates of the whole run."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.random = place, random.Random(seed)
        self.config = place / "study.yaml"
        self.config.write_text(json.dumps(STUDY))
        began = time.monotonic()
        assert self.start(place / "whole").wait() == 0
        self.seconds = time.monotonic() - began
        self.wanted = estimates(place / "whole")
        self.files = {str(f.relative_to(place / "whole")) for f in state_files(place / "whole")}

    def command(self, out: Path) -> list[str]:
        return [
            sys.executable,
            "-m",
            "playsafe",
            "run",
            str(self.config),
            "--quiet",
            "--set",
            f"output_dir={out}",
        ]

    def start(self, out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(out), stderr=subprocess.PIPE, text=True, env=environment())

    def run(self, out: Path) -> subprocess.CompletedProcess[str]:
        """The command in a fork of this process, which has imported everything: many starts are cheap."""
        said = self.place / "stderr"
        child = os.fork()
        if child == 0:
            os._exit(forked(self.command(out)[3:], said))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return subprocess.CompletedProcess([], code, "", said.read_text())

    def finish(self, out: Path) -> list[Problem]:
        """Run to the end; what differs from the whole run."""
        done = self.run(out)
        if done.returncode != 0:
            return [f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"]
        found = [] if estimates(out) == self.wanted else ["other estimates"]
        left = {str(f.relative_to(out)) for f in state_files(out)} ^ self.files
        left |= {str(f) for f in out.rglob("*.tmp")} | {str(f) for f in out.rglob("checkpoint-*")}
        found += [f"files differ: {sorted(left)[:4]}"] if left else []
        return found + doubled(out)


def forked(arguments: list[str], said: Path) -> int:
    """playsafe with these arguments; its exit code. said: takes what it writes on stderr."""
    from playsafe.cli import main as playsafe

    sys.stderr = said.open("w")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.argv = ["playsafe", *arguments]
    code = 0
    try:
        playsafe()
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 99
    sys.stderr.flush()
    return code


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def state_files(out: Path) -> list[Path]:
    return sorted(f for f in out.rglob("*") if f.is_file() and f.name != ".lock" and "events" not in f.name)


def estimates(out: Path) -> dict[str, Any]:
    return {
        str(path.parent.relative_to(out)): json.loads(path.read_text()).get("estimates")
        for path in sorted(out.rglob("summary.json"))
    }


def doubled(out: Path) -> list[Problem]:
    """Ids that stand twice in a file of replies or verdicts."""
    found = []
    for path in [*out.rglob("completions/*.jsonl"), *out.rglob("verdicts/*.jsonl")]:
        ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
        found += [f"{path.relative_to(out)} has an id twice"] if len(ids) > len(set(ids)) else []
    return found


def signals(bench: Bench, times: int) -> Iterator[tuple[str, list[Problem]]]:
    """SIGINT and SIGTERM at random moments, until the study is done."""
    out, rounds = bench.place / "signals", 0
    for n in range(times):
        number = bench.random.choice([signal.SIGINT, signal.SIGTERM])
        delay = bench.random.uniform(0.1, bench.seconds)
        process = bench.start(out)
        time.sleep(delay)
        process.send_signal(number)
        began = time.monotonic()
        said = process.communicate(timeout=60)[1]
        took, code = time.monotonic() - began, process.returncode
        found = []
        if code == 0:
            rounds += 1
            found = bench.finish(out)
            shutil.rmtree(out)
        elif code != 128 + number:
            found.append(f"exit code {code}: {said[-200:]!r}")
        elif said != LINE:
            found.append(f"said {said[-200:]!r}")
        if took > 2:
            found.append(f"took {took:.1f} s")
        yield f"signal {n} ({number.name} after {delay:.2f} s)", found
    yield "after the signals", bench.finish(out)


def kills(bench: Bench, times: int) -> Iterator[tuple[str, list[Problem]]]:
    """SIGKILL at random moments; a study that is done begins anew."""
    out = bench.place / "kills"
    for n in range(times):
        process = bench.start(out)
        time.sleep(bench.random.uniform(0.5, bench.seconds * 0.7))
        process.kill()
        process.wait()
        done = len(list(out.rglob("summary.json"))) >= len(bench.wanted)
        found = bench.finish(out) if done else []
        if done:
            shutil.rmtree(out)
        yield f"kill {n}", found
    yield "after the kills", bench.finish(out)


def disk(bench: Bench, times: int) -> Iterator[tuple[str, list[Problem]]]:
    """A disk that is full at ten sizes, then larger."""
    needed = int(subprocess.check_output(["du", "-sk", bench.place / "whole"]).split()[0])
    for n in range(10):
        size = max(16, needed * (n + 1) // 11)
        mount = bench.place / "disk"
        mount.mkdir(exist_ok=True)
        subprocess.check_call(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", mount])
        try:
            done = bench.run(mount / "out")
            found = full(done, mount)
            subprocess.check_call(["mount", "-o", "remount,size=200m", mount])
            found += bench.finish(mount / "out")
        finally:
            subprocess.check_call(["umount", mount])
        yield f"disk of {size} kB", found


def full(done: subprocess.CompletedProcess[str], mount: Path) -> list[Problem]:
    lines = done.stderr.strip().splitlines()
    found = [] if done.returncode == 3 else [f"exit code {done.returncode}"]
    found += [] if len(lines) == 1 and "disk is full" in lines[0] else [f"said {lines[-3:]}"]
    return found + [f"left {f.name}" for f in mount.rglob("*.tmp")]


def damage(bench: Bench, times: int) -> Iterator[tuple[str, list[Problem]]]:
    """Each file of a finished study cut, emptied, flipped and deleted in turn."""
    for name in sorted(bench.files):
        if name != "report.html":
            for how in ("cut", "emptied", "flipped", "deleted"):
                yield from one_damage(bench, bench.place / "whole", name, how)


def unfinished(bench: Bench, times: int) -> Iterator[tuple[str, list[Problem]]]:
    """The same for studies that were killed, checkpoints among their files."""
    for n in range(max(1, times // 8)):
        out = bench.place / f"unfinished-{n}"
        process = bench.start(out)
        until = bench.seconds * (n + 2) / (times // 8 + 4)
        time.sleep(until)
        process.kill()
        process.wait()
        names = [str(f.relative_to(out)) for f in state_files(out)] if out.exists() else []
        for name in bench.random.sample(names, min(8, len(names))):
            how = bench.random.choice(["cut", "emptied", "flipped", "deleted"])
            yield from one_damage(bench, out, name, how)


def one_damage(bench: Bench, source: Path, name: str, how: str) -> Iterator[tuple[str, list[Problem]]]:
    """Damage one file of a copy and start again: the same estimates, or one clear refusal."""
    out = bench.place / "damaged"
    shutil.copytree(source, out)
    path = out / name
    content = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        place = bench.random.randrange(max(1, len(content)))
        path.write_bytes(
            content[:place] + bytes([(content[place] if content else 0) ^ 1]) + content[place + 1 :]
        )
    done = bench.run(out)
    lines = done.stderr.strip().splitlines()
    clear = done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: ")
    if done.returncode == 0:
        found = [] if estimates(out) == bench.wanted else ["silently other estimates"]
        found += doubled(out)
    else:
        found = [] if clear else [f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"]
    shutil.rmtree(out)
    yield f"{name} {how}{' (refused: ' + lines[0][-160:] + ')' if clear else ''}", found


def twice(bench: Bench, times: int) -> Iterator[tuple[str, list[Problem]]]:
    """Two commands at once: one works, the other is told so."""
    for n in range(max(1, times // 10)):
        out = bench.place / f"twice-{n}"
        first, second = bench.start(out), bench.start(out)
        codes = sorted(process.wait() for process in (first, second))
        found = [] if codes == [0, 5] else [f"exit codes {codes}"]
        yield f"two commands {n}", found + bench.finish(out)


PARTS = {f.__name__: f for f in (signals, kills, disk, damage, unfinished, twice)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*PARTS])
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found: dict[str, list[Problem]] = {}
    os.environ |= environment()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place), given.seed)
        for part in given.parts:
            for label, problems in PARTS[part](bench, given.times):
                found[label] = problems
                print("bad " if problems else "ok  ", label, *problems, sep="  ", flush=True)
    bad = sum(map(bool, found.values()))
    print(f"{len(found) - bad} of {len(found)} as they should be")
    if given.out:
        given.out.write_text(json.dumps({"seed": given.seed, "checks": found}, indent=2) + "\n")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
