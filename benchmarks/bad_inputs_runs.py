"""Bad output directories: places where nobody can write, and finished runs that were tampered with."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bad_inputs_world as world
from bad_inputs_world import Shared

EITHER, PLACE = frozenset({0, 1, 2, 4}), frozenset({2, 3})
READERS = {
    "show": ("show", "out"),
    "report": ("report", "out"),
    "plan": ("plan", "study.yaml"),
    "run": ("run", "study.yaml"),
    "evaluate": ("evaluate", "study.yaml"),
}
Drawn = tuple[str, str, str, tuple[str, ...], Callable[[Path, Any], None], frozenset[int], dict[str, Any]]
HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 1e308, float("nan"), float("inf"), 10**4000, "", [], {}, [[]], {"a": {}}),
    *("../../canary/secret.txt", "/etc/passwd", "\x1b[31mred\x9b31m", "\u202eabc", "[/]", "[bold]x"),
    *("x" * 100_000, "\ud800", "a\0b"),
    *("<script>alert(1)</script>", "{{ 7*7 }}", "nan", "2", "a\nerror: b"),
)  # fmt: skip


def _files(rng: random.Random) -> list[str]:
    """The files of a finished run by what reads them; those of one kind stand for each other."""
    run, base = "Skarn/sft/seed-0", "base"
    names = (
        "summary.json",
        "config.yaml",
        "evaluation.json",
        "events.jsonl",
        "provenance.json",
        "status.json",
    )
    jsonl = ("values", "completions", "prompts", "voice")
    found = [f"{place}/{name}" for place in (run, base) for name in names]
    found += [f"{run}/{name}/{key}.jsonl" for name in jsonl for key in ("harm", "references")]
    found += [f"{run}/verdicts/harm.rules.jsonl", f"{base}/values/harm.jsonl", f"{run}/train.jsonl"]
    found += [f"{run}/{name}" for name in ("training.json", "subset.json", "adapter/adapter_config.json")]
    found += [
        f"{run}/adapter/adapter_model.safetensors",
        "Skarn/scores/scores.jsonl",
        "Skarn/scores/rows.jsonl",
    ]
    found += ["Skarn/scores/summary.json", "study.json", "config.yaml", "gate.json", "provenance.json"]
    return found


def _whole(path: Path, how: str, rng: random.Random) -> None:
    good = path.read_bytes()
    deep = 100_000
    written = {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "brackets": b"[" * deep + b"]" * deep + b"\n",
        "deep object": b'{"a":' * deep + b"1" + b"}" * deep + b"\n",
        "number": b"7\n",
        "null": b"null\n",
        "list": b"[1, 2]\n",
        "text": b'"text"\n',
        "object": b"{}\n",
        "huge integer": b'{"id": ' + b"9" * 5000 + b"}\n",
        "not UTF-8": b"\xff\xfe\x00" + good,
        "zeros": b"\0" * len(good),
        "twice": good + good,
        "BOM": b"\xef\xbb\xbf" + good,
        "CRLF": good.replace(b"\n", b"\r\n"),
        "blank lines": b"\n\n" + good + b"\n\n",
        "last line torn": good.rstrip() + b'\n{"id": "x", "va',
    }
    if how in written:
        path.write_bytes(written[how])
    elif how == "flipped":
        at = rng.randrange(len(good))
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(7)]) + good[at + 1 :])
    else:
        path.unlink()
        if how == "directory":
            path.mkdir()
        elif how == "fifo":
            os.mkfifo(path)
        elif how != "lost":
            links = {"link outside": "secret.txt", "circle": None, "dangling": "nothing", "zero": "/dev/zero"}
            target = links[how]
            outside = path.parents[len(path.parents) - 1] if target is None else None
            path.symlink_to(path.name if outside else _target(path, str(target)))


def _target(path: Path, name: str) -> Path:
    """A file in the canary's folder, which lies beside the case's own."""
    work = next(parent for parent in path.parents if parent.name == "work")
    return Path(name) if name.startswith("/") else work.parent / "canary" / name


WHOLE = (
    *("empty", "cut", "brackets", "deep object", "number", "null", "list", "text", "object", "huge integer"),
    *("not UTF-8", "zeros", "twice", "BOM", "CRLF", "blank lines", "last line torn"),
    *("flipped", "lost", "directory", "fifo", "link outside", "circle", "dangling", "zero"),
)  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*at, key))


def _inside(path: Path, rng: random.Random) -> None:
    """One value of the file replaced, or a key renamed, to what the file's readers do not expect."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    which = rng.randrange(len(lines))
    tree = json.loads(lines[which])
    at = rng.choice(list(_places(tree)))
    node = tree
    for key in at[:-1]:
        node = node[key]
    value = rng.choice(HOSTILE)
    if isinstance(at[-1], str) and rng.random() < 0.35:
        kept = node.pop(at[-1])
        if rng.random() < 0.6:
            node[value if isinstance(value, str) else "other"] = kept
    else:
        node[at[-1]] = value
    lines[which] = json.dumps(tree)
    path.write_text("\n".join(lines) + "\n")


def tampered(rng: random.Random) -> Iterator[Drawn]:
    for file in _files(rng):
        hows = [*rng.sample(WHOLE, 7), *(["inside"] * 5 if not file.endswith("safetensors") else [])]
        for number, how in enumerate(hows):
            reader = rng.choice(sorted(READERS))
            seed = rng.randrange(1 << 30)

            def build(
                folder: Path, shared: Shared, file: str = file, how: str = how, seed: int = seed
            ) -> None:
                world.with_finished(folder, shared)
                draw = random.Random(seed)
                path = folder / "out" / file
                _inside(path, draw) if how == "inside" else _whole(path, how, draw)

            label = f"{how} {number} ({seed})" if how == "inside" else how
            yield (
                reader,
                f"run file {file.replace('Skarn/sft/seed-0', 'RUN')}",
                label,
                READERS[reader],
                build,
                EITHER,
                {},
            )


def _block(kind: str) -> Callable[[Path, Shared], None]:
    """A folder in which `out` is no place to write."""

    def build(folder: Path, shared: Shared) -> None:
        world.study(folder)
        (folder / "replies.jsonl").write_bytes(world.content_of("jsonl", world.REPLIES))
        (folder / "suite.jsonl").write_bytes(world.content_of("jsonl", world.PROMPTS))
        out = folder / "out"
        links = {
            "circle": "out",
            "dangling link": "nothing/more",
            "dev null": "/dev/null",
            "proc": "/proc/1/nothing",
        }
        if kind in links:
            out.symlink_to(links[kind])
        elif kind == "a file":
            out.write_text("mine")
        elif kind == "fifo":
            os.mkfifo(out)
        elif kind.startswith("file at "):
            path = out / kind.removeprefix("file at ")
            path.parent.mkdir(parents=True)
            path.write_text("mine")
        elif kind.startswith("folder at "):
            (out / kind.removeprefix("folder at ")).mkdir(parents=True)
        elif kind == "others' files":
            for place in ("base", "Skarn/sft/seed-0", "x", "Skarn/scores", "no_role/x"):
                (out / place).mkdir(parents=True)
                (out / place / "letter.txt").write_text("mine")
        elif kind == "another study":
            shutil.copytree(shared.finished, out)
            world.study(folder, seeds=[5])
            (out / "study.json").write_text('{"name": "other"}')
            (out / "config.yaml").write_text('{"a": 1}')
        elif kind == "no right to write":
            out.mkdir()
            out.chmod(0o555)
        elif kind == "no right at all":
            out.mkdir()
            out.chmod(0)

    return build


def directories(rng: random.Random) -> Iterator[Drawn]:
    blocks = [
        *("circle", "dangling link", "dev null", "proc", "a file", "fifo", "others' files", "another study"),
        *(f"file at {p}" for p in ("base", "Skarn", "Skarn/sft", "cache", "Skarn/scores", "x", "no_role")),
        *(f"folder at {p}" for p in ("config.yaml", "study.json", "report.html", "gate.json")),
        *("folder at events.jsonl", "folder at .lock"),
        *("folder at base/config.yaml", "folder at base/events.jsonl", "folder at Skarn/scores/config.yaml"),
        *("folder at base/completions/harm.jsonl", "folder at provenance.json", "file at base/completions"),
        *("no right to write", "no right at all"),
    ]  # fmt: skip
    verbs: dict[str, tuple[str, ...]] = {
        "run": ("run", "study.yaml"),
        "score": ("score", "study.yaml"),
        "train": ("train", "study.yaml"),
        "evaluate": (*world.RECORDED, *world.SUITE),
        "plan": ("plan", "study.yaml"),
        "show": ("show", "out"),
        "report": ("report", "out"),
    }
    for kind in blocks:
        for verb, argv in verbs.items():
            may = (
                EITHER | PLACE
                if "at " in kind or verb == "plan" or kind in ("others' files", "another study")
                else PLACE
            )
            more = {"plain_user": kind.startswith("no right")}
            yield verb, "output directory", kind, argv, _block(kind), may, more
    for path in (
        "",
        " ",
        "out/\x1b[31m",
        "out/\u202ex",
        "out/[/]",
        "x" * 300,
        "x/" * 3000,
        "/dev/null/x",
        "/proc/x",
        "~nosuchuser/x",
        "out/a\nb",
    ):
        for verb in ("score", "evaluate"):
            argv = (*verbs[verb], "--set", f"output_dir={json.dumps(path)}")
            yield verb, "path of output_dir", ascii(path)[:40], argv, _block("nothing"), EITHER | PLACE, {}
    for room in (0, 100, 1000, 5000):
        for verb in ("run", "score", "evaluate", "report"):
            build = world.with_finished if verb == "report" else _block("nothing")
            yield (
                verb,
                "disk full",
                f"{room} bytes a file",
                verbs[verb],
                build,
                PLACE | ({0} if room > 500 else set()),
                {"room": room},
            )
