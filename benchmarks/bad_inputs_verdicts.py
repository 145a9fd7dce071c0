"""What is wrong with how a case of `bad_inputs` ended: exit code, words, control characters, exceptions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]")
UNCLEAR = re.compile(
    r"NoneType|object has no attribute|<class |KeyError|TypeError|ValueError|Errno|codec can|unhashable"
    r"|invalid literal|index out of range|not subscriptable|not iterable|Object of type|unexpected keyword"
    r"|RecursionError|recursion depth|Exceeds the limit|OverflowError|argument must be|expected str"
    r"|0x[0-9a-f]{8,}|jinja2\.|pydantic"
)
JOB = re.compile(r"error: (score|train|edit|answer|judge|measure) ")
PROGRESS = re.compile(r"(note:|evaluate |judge |score |train |answer |edit |measure |reward gap|Usage:|Try )")


def judge(case: Any, code: int | None, out: str, err: str) -> Iterator[str]:
    """What is wrong with how a case ended, exceptions aside."""
    if code is None:
        yield "hang"
        return
    if code not in case.codes:
        yield "accepted" if code == 0 else f"exit code {code}"
    for name, text in (("stdout", out), ("stderr", err)):
        if found := CONTROL.search(text):
            yield f"raw control character {found.group()!a} on {name}"
    if "Traceback" in err:
        return
    lines = [line for line in err.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:") or "╭─ Error" in line]
    boxed = any("╭─ Error" in line for line in lines)
    jobs = [line for line in errors if JOB.match(line)]  # each failure is said, and the rest goes on
    if code == 2 and len(errors) - len(jobs) != 1 and not jobs:
        yield f"{len(errors)} error lines"
    noise = [line for line in lines if line not in errors and not PROGRESS.match(line.strip())]
    if noise and not boxed and code != 0:
        yield f"more than the error is said: {ascii(noise[0])[:120]}"
    for line in errors:
        if (found := UNCLEAR.search(line)) and found.group() not in " ".join(case.argv):
            yield f"unclear words: {found.group()}"
        if len(line) > 2000 + 2 * max(map(len, case.argv), default=0):
            yield f"a line of {len(line)} characters"
        if case.named and code == 2 and not any(name in (err if boxed else line) for name in case.named):
            yield "does not name the file"
    if code == 2 and errors == ["error:"]:
        yield "an empty error"


def raised_in(err: str) -> str:
    """Exception and innermost place of ours in a traceback on the screen."""
    if "Traceback (most recent call last)" not in err:
        return ""
    frames = re.findall(r'File "([^"]*/([^"]+))", line (\d+)', err)
    ours = [(path.rpartition("/playsafe/")[2], line) for path, _, line in frames if "/playsafe/" in path]
    told = [line for line in err.splitlines() if re.match(r"[\w.]+\b", line)]
    place = ":".join(ours[-1] if ours else frames[-1][1:] if frames else "?")
    name = told[-1] if told else ""
    return ascii(f"{name.partition(':')[0][:80]} @ {place}")[1:-1]


def hidden(work: Path) -> str:
    """The same of a job that failed in a way that nobody foresaw: its traceback stands in events.jsonl."""
    out = work / "out"
    if not out.is_dir() or out.is_symlink():
        return ""
    for path in out.rglob("events.jsonl"):
        if path.is_file() and not path.is_symlink():
            for line in path.read_bytes().splitlines():
                if b'"trace": "Traceback' in line[:100_000] and line.startswith(b'{"time"'):
                    return "in a job: " + raised_in(json.loads(line)["trace"])
    return ""
