"""Bad inputs, generated from good ones by a seed: files damaged as a whole and in their structure."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import random
import socket
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import bad_inputs_options as options
import bad_inputs_world as world
from bad_inputs_registry import registered
from bad_inputs_world import Shared, Surface

REFUSED, EITHER, ACCEPTED = frozenset({2}), frozenset({0, 2}), frozenset({0})
PLACE = frozenset({2, 3})  # the environment does not let us
DEEP, DIGITS = 100_000, "9" * 5000


@dataclass(frozen=True)
class Case:
    """codes: the exit codes that are right. named: the error must name one of these. room: bytes that a file
    may have, None for any. plain_user: run without the rights of root."""

    verb: str
    kind: str
    mutation: str
    argv: tuple[str, ...]
    build: Callable[[Path, Shared], None]
    codes: frozenset[int] = REFUSED
    named: tuple[str, ...] = ()
    room: int | None = None
    plain_user: bool = False

    @property
    def id(self) -> str:
        return f"{self.verb} | {self.kind} | {self.mutation}"


Damage = Callable[[Path, random.Random], None]


def _bytes(change: Callable[[bytes], bytes]) -> Damage:
    def damage(path: Path, rng: random.Random) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, rng: random.Random) -> None:
        path.unlink()
        make(path)

    return damage


@cache
def _bomb(good: bytes) -> bytes:
    """A workbook whose sheet is 300 MB of nothing."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as book:
        try:
            parts = zipfile.ZipFile(io.BytesIO(good))
            for name in parts.namelist():
                if "sheet1" not in name:
                    book.writestr(name, parts.read(name))
        except zipfile.BadZipFile:
            pass
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(
                b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
            )
            row = b'<row><c t="inlineStr"><is><t>a</t></is></c></row>' * 20_000
            for _ in range(300):
                sheet.write(row)
            sheet.write(b"</sheetData></worksheet>")
    return stream.getvalue()


def _socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def _random(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"\xff\xfe" + rng.randbytes(301))


def _middle(inserted: bytes) -> Damage:
    return _bytes(lambda good: good[: len(good) // 2] + inserted + good[len(good) // 2 :])


# name → damage of a file as a whole, exit codes, forms it is for (empty: all)
STRUCTURED = ("json", "jsonl", "yaml")
TEXTS = (*STRUCTURED, "csv", "tsv", "text")
BRACKETS = b"[" * DEEP + b"]" * DEEP
LAUGHS = "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9 if n else 'x'}]\n" for n in range(12)).encode()
WHOLE: dict[str, tuple[Damage, frozenset[int], tuple[str, ...]]] = {
    "missing": (lambda path, rng: path.unlink(), REFUSED, ()),
    "empty": (_bytes(lambda _: b""), REFUSED, ()),
    "blank": (_bytes(lambda _: b" \n\n\t \n"), REFUSED, ()),
    "zeros": (_bytes(lambda _: b"\0" * 64), REFUSED, ()),
    "nul inside": (_middle(b"\0"), EITHER, TEXTS),
    "escape inside": (_middle(b"\x1b[31m\xc2\x9b31m\xe2\x80\xae"), EITHER, ()),
    "random bytes": (_random, REFUSED, ()),
    "utf-16": (_bytes(lambda good: good.decode().encode("utf-16")), REFUSED, TEXTS),
    "latin-1": (_middle(b"\xe9t\xe9"), REFUSED, TEXTS),
    "gzip": (_bytes(gzip.compress), REFUSED, ()),
    "zip": (_bytes(_bomb), REFUSED, ("json", "csv", "jsonl")),
    "zip bomb": (_bytes(_bomb), REFUSED, ("xlsx",)),
    "truncated": (_bytes(lambda good: good[: len(good) * 2 // 3]), EITHER, ()),
    "cut by one": (_bytes(lambda good: good.rstrip()[:-1]), EITHER, ()),
    "brackets open": (_bytes(lambda _: b"[" * DEEP), REFUSED, (*STRUCTURED, "csv", "text")),
    "brackets": (_bytes(lambda _: BRACKETS), REFUSED, STRUCTURED),
    "objects": (_bytes(lambda _: b'{"a":' * DEEP + b"1" + b"}" * DEEP), REFUSED, STRUCTURED),
    "deep value": (_bytes(lambda _: b'{"prompt": ' + BRACKETS + b"}\n"), REFUSED, STRUCTURED),
    "huge integer": (_bytes(lambda _: DIGITS.encode()), REFUSED, STRUCTURED),
    "huge integer value": (_bytes(lambda _: b'[{"prompt": %s}]' % DIGITS.encode()), REFUSED, STRUCTURED),
    "number": (_bytes(lambda _: b"7"), REFUSED, STRUCTURED),
    "true": (_bytes(lambda _: b"true"), REFUSED, STRUCTURED),
    "null": (_bytes(lambda _: b"null"), REFUSED, STRUCTURED),
    "text": (_bytes(lambda _: b'"text"'), REFUSED, STRUCTURED),
    "empty list": (_bytes(lambda _: b"[]"), REFUSED, STRUCTURED),
    "empty object": (_bytes(lambda _: b"{}"), REFUSED, STRUCTURED),
    "list of null": (_bytes(lambda _: b"[null]"), REFUSED, STRUCTURED),
    "list of lists": (_bytes(lambda _: b"[[1], [2]]"), REFUSED, STRUCTURED),
    "NaN": (_bytes(lambda _: b"NaN"), REFUSED, STRUCTURED),
    "infinite value": (_bytes(lambda _: b'[{"prompt": -Infinity, "text": NaN}]'), REFUSED, STRUCTURED),
    "bare surrogate": (_bytes(lambda _: b'[{"prompt": "\\ud800", "\\udfff": "x"}]'), REFUSED, STRUCTURED),
    "quote open": (_bytes(lambda good: good + b'\n"never closed, \n'), REFUSED, ("csv",)),
    "ragged": (_bytes(lambda good: good + b"a\tb\tc\td\te,f,g,h,i,j\n"), REFUSED, ("csv", "tsv")),
    "columns twice": (_bytes(lambda _: b"prompt,prompt\na,b\n"), REFUSED, ("csv",)),
    "directory": (_instead(lambda path: path.mkdir()), REFUSED, ()),
    "fifo": (_instead(os.mkfifo), REFUSED, ()),
    "socket": (_instead(_socket), REFUSED, ()),
    "dev null": (_instead(lambda path: path.symlink_to("/dev/null")), REFUSED, ()),
    "dev zero": (_instead(lambda path: path.symlink_to("/dev/zero")), REFUSED, ()),
    "proc mem": (_instead(lambda path: path.symlink_to("/proc/self/mem")), REFUSED, ()),
    "dangling link": (_instead(lambda path: path.symlink_to("nowhere")), REFUSED, ()),
    "link in a circle": (_instead(lambda path: path.symlink_to(path.name)), REFUSED, ()),
    "no right to read": (lambda path, rng: path.chmod(0), PLACE, ()),
    "BOM": (_bytes(lambda good: b"\xef\xbb\xbf" + good), ACCEPTED, TEXTS[:-1]),
    "CRLF": (_bytes(lambda good: good.replace(b"\n", b"\r\n")), ACCEPTED, TEXTS[:-1]),
    "yaml aliases": (_bytes(lambda _: LAUGHS), REFUSED, ("yaml",)),
    "yaml recursion": (_bytes(lambda _: b"&a\nSkarn: *a\nmodel: *a\n"), REFUSED, ("yaml",)),
    "yaml recursion in a list": (_bytes(lambda _: b"&a [*a, *a]"), REFUSED, ("yaml",)),
    "yaml unknown tag": (_bytes(lambda _: b"Skarn: !!python/object/apply:os.system []"), REFUSED, ("yaml",)),
    "yaml two documents": (_bytes(lambda good: good + b"\n---\n" + good), REFUSED, ("yaml",)),
    "yaml key twice": (_bytes(lambda good: good + b"\n" + good), REFUSED, ("yaml",)),
    "yaml keys of every type": (
        _bytes(lambda _: b"1: a\nnull: b\n2020-01-01: c\n[1, 2]: d\n{a: b}: e\ntrue: f\n"),
        REFUSED,
        ("yaml",),
    ),
    "yaml list as key": (_bytes(lambda _: b"? [1, 2]\n: a\n"), REFUSED, ("yaml",)),
    "yaml tabs": (_bytes(lambda _: b"model:\n\tname_or_path: tiny\n"), REFUSED, ("yaml",)),
    "yaml binary": (_bytes(lambda _: b"Skarn: !!binary AAAA\nmodel: !!set {a, b}\n"), REFUSED, ("yaml",)),
    "yaml bad date": (_bytes(lambda _: b"Skarn: 2020-13-45\nmodel: 12:99:99\n"), REFUSED, ("yaml",)),
    "yaml merge of a text": (_bytes(lambda _: b"<<: text\nname: x\n"), REFUSED, ("yaml",)),
    "json key twice": (_bytes(lambda _: b'{"Skarn": "a", "Skarn": "b"}\n'), REFUSED, ("json", "jsonl")),
}  # fmt: skip

WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "-1": -1,
    "0": 0,
    "1e308": 1e308,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "5,000 digits": int("9" * 4000),
    "empty text": "",
    "blank": " \u200b\n",
    "empty list": [],
    "empty object": {},
    "nested list": [[["x"]]],
    "object": {"\x1b[31mkey": {"a": [1]}},
    "long text": "x" * 300_000,
    "escapes": "\x1b[31mred\x1b]0;title\x07\x9b31m",
    "bidi": "\u202eabc\u2066",
    "closing markup": "[/]",
    "markup": "[bold]x[/bold] [link=http://x]y[/link]",
    "surrogate": "\ud800",
    "NUL": "a\0b",
    "parent": "../../x",
    "line break": "a\nerror: b\r\nc",
    "braces": "{0} {role.__class__} {{ 7*7 }}",
}


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a tree."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*at, key))


def _put(tree: Any, at: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    changed = copy.deepcopy(tree)
    node = changed
    for key in at[:-1]:
        node = node[key]
    change(node, at[-1])
    return changed


def _structures(rng: random.Random, tree: Any, number: int) -> Iterator[tuple[str, Any]]:
    """(mutation, tree) with one value replaced, one key lost, renamed or added."""
    places = list(_places(tree))
    for wrong in rng.sample(sorted(WRONG), min(number, len(WRONG))):
        at = rng.choice(places)
        label = ".".join(map(str, at))
        yield (
            f"{label} is {wrong}",
            _put(tree, at, lambda node, key, w=wrong: node.__setitem__(key, WRONG[w])),
        )
    keyed = [at for at in places if isinstance(at[-1], str)]
    for at in rng.sample(keyed, min(2, len(keyed))):
        yield f"{'.'.join(map(str, at))} is lost", _put(tree, at, lambda node, key: node.pop(key))
        hostile = rng.choice(options.NAMES)
        yield (
            f"{'.'.join(map(str, at))} is called {ascii(hostile)[:40]}",
            _put(tree, at, lambda node, key, h=hostile: node.__setitem__(h, node.pop(key))),
        )


TOLD = ("escapes", "bidi", "closing markup", "markup", "surrogate", "NUL", "line break", "braces")


def _told(tree: Any, ending: str) -> Any:
    """The tree with every text lengthened, but for speakers, languages and names of formats."""
    if isinstance(tree, dict):
        kept = ("role", "from", "language", "spec", "spec_version")
        return {key: one if key in kept else _told(one, ending) for key, one in tree.items()}
    if isinstance(tree, list):
        return [_told(one, ending) for one in tree]
    return tree + ending if isinstance(tree, str) else tree


def _encoded(form: str, tree: Any) -> bytes | None:
    """The tree in its form; None where the form cannot hold it."""
    try:
        if form == "yaml":  # JSON is YAML, and holds what yaml.dump escapes in its own way
            return json.dumps(tree).encode() if isinstance(tree, list | dict) else None
        return world.content_of(form, tree)
    except Exception:  # whatever a writer of tables refuses
        return None


def of_files(rng: random.Random) -> Iterator[Case]:
    """Every surface, damaged as a whole and in its structure."""
    for surface in world.surfaces():
        for name, (damage, codes, forms) in WHOLE.items():
            if forms and surface.form not in forms:
                continue
            fine = codes == ACCEPTED
            allowed = codes | (surface.other if not fine else codes | surface.other)
            if surface.lenient and not fine:
                allowed |= {0}
            if fine and surface.good is None:  # a library reads it
                allowed = EITHER
            yield _damaged(surface, name, damage, allowed, rng.randrange(1 << 30))
        for name in TOLD if surface.good is not None else ():
            content = _encoded(surface.form, _told(surface.good, WRONG[name]))
            if content is not None:
                damage = _bytes(lambda _, content=content: content)
                yield _damaged(
                    surface, f"every text ends with {name}", damage, EITHER | surface.other | {1, 4}, 0
                )
        if surface.good is not None and surface.form in (*STRUCTURED, "csv", "xlsx"):
            for name, tree in _structures(rng, surface.good, 5):
                content = _encoded(surface.form, tree)
                if content is None:
                    continue
                damage = _bytes(lambda _, content=content: content)
                yield _damaged(surface, name, damage, EITHER | surface.other | {1, 4}, 0)


def _damaged(surface: Surface, name: str, damage: Damage, codes: frozenset[int], seed: int) -> Case:
    def build(folder: Path, shared: Shared) -> None:
        surface.lay(folder, shared)
        damage(folder / surface.file, random.Random(seed))

    named = (Path(surface.file).name, surface.file.split("/")[0]) if name in WHOLE else ()
    user = name == "no right to read"
    return Case(surface.verb, surface.kind, name, surface.argv, build, codes, named, plain_user=user)


def of_json_in_models(rng: random.Random) -> Iterator[Case]:
    """Values of a model's and an adapter's JSON files replaced."""
    for surface in (s for s in world.surfaces() if s.file.endswith("config.json") and s.good is None):
        for name in sorted(WRONG):
            seed = rng.randrange(1 << 30)

            def damage(path: Path, _: random.Random, seed: int = seed, name: str = name) -> None:
                tree, draw = json.loads(path.read_text()), random.Random(seed)
                at = draw.choice(list(_places(tree)))
                path.write_text(json.dumps(_put(tree, at, lambda n, k: n.__setitem__(k, WRONG[name]))))

            yield _damaged(surface, f"a value is {name} ({seed})", damage, EITHER, seed)
    for key, value in options.ADAPTER:
        for surface in (s for s in world.surfaces() if s.file == "adapter/adapter_config.json"):

            def change(path: Path, _: random.Random, key: str = key, value: Any = value) -> None:
                path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

            yield _damaged(surface, f"{key} is {value!r}"[:70], change, REFUSED, 0)
    for name, text in options.TEMPLATES.items():
        for surface in (s for s in world.surfaces() if s.file.endswith(".jinja")):

            def write(path: Path, _: random.Random, text: str = text) -> None:
                path.write_text(text)

            yield _damaged(surface, f"template: {name}", write, REFUSED | surface.other, 0)


def everything(seed: int) -> list[Case]:
    """All cases of a seed, in an order that it draws."""
    import bad_inputs_runs as runs

    def rng(name: str) -> random.Random:  # its own for each part, so that a change of one leaves the others
        return random.Random(f"{seed}/{name}")

    found = [*of_files(rng("files")), *of_json_in_models(rng("models"))]
    for part in (options.values, options.names, options.paths, options.misuse, registered):
        found += [Case(*one) for one in part(rng(part.__name__))]
    for part in (runs.tampered, runs.directories):
        found += [replace(Case(*one[:6]), **one[6]) for one in part(rng(part.__name__))]
    rng("order").shuffle(found)
    return found
