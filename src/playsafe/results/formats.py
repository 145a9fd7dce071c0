"""What the files of a run hold, checked when they are read: a study's directory may come from anybody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from playsafe.errors import BadInput
from playsafe.records import Estimate
from playsafe.rundir import inside, read_json, read_jsonl

Record = TypeVar("Record")
Objects = list[dict[str, Any]]


def _names_a_file(name: str) -> str:
    """A suite as it was asked, or a judge: what a file may be called."""
    if not re.fullmatch(r"\w[\w.+@-]{0,200}", name):
        raise ValueError("names of suites and judges are letters, digits, dot, dash, + and @")
    return name


FileName = Annotated[str, AfterValidator(_names_a_file)]


class _File(BaseModel):
    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)


class _Asked(_File):
    kind: str
    language: str | None = None


class _Training(_File):
    share: float | None = None
    rule: str | None = None


class _Summary(_File):
    role: str | None
    method: str
    seed: int | None
    estimates: list[Estimate]
    suites: dict[FileName, _Asked]
    tags: list[str] | None = None
    notes: list[str] | None = None
    training: _Training | None = None
    options: dict[str, Any] | None = None
    decoding: dict[str, Any] | None = None


class _Scores(_File):
    role: str


class _Named(_File):
    name: str
    label: str | None = None


class _Scoring(_File):
    threshold: float | None = None


class _Evaluation(_File):
    suites: list[_Named] | None = None
    attacks: list[_Named] | None = None
    judges: list[_Named] | None = None
    system: list[str] | None = None
    gates: list[str] | None = None
    show: list[str] | None = None
    generation: dict[str, Any] | None = None


class _Study(_File):
    name: str | None = None
    seeds: list[int] | None = None
    cast: list[str] | None = None
    methods: list[_Named] | None = None
    arms: list[_Named] | None = None
    targets: list[_Named] | None = None
    roles: dict[str, Any] | None = None
    pairs: dict[str, Any] | None = None
    scoring: _Scoring | None = None
    evaluation: _Evaluation | None = None


class LogProbs(TypedDict):
    sum: float
    tokens: int


class ScoreRow(TypedDict):
    """A line of scores.jsonl, as `Score.from_json` reads it."""

    id: str
    role: str
    logprob: dict[str, LogProbs]


class ValueRow(TypedDict):
    """A line of values/<key>.jsonl."""

    id: str
    trial: Annotated[str | None, Field(default=None)]
    values: dict[str, dict[str, float | None]]


class PromptRow(TypedDict, total=False):
    """A line of prompts/<key>.jsonl."""

    id: str
    text: str
    references: list[str]
    request: str


def summary(folder: Path) -> dict[str, Any]:
    """summary.json of a run or of scores. BadInput where it is none of ours."""
    found = _object(folder, "summary.json")
    _check(_Scores if found.get("kind") == "scores" else _Summary, found, folder / "summary.json")
    for estimate in found.get("estimates") or ():
        for key in ("suite", "judge"):
            _check_name(estimate.get(key, "none"), folder / "summary.json")
    return found


def study(folder: Path) -> dict[str, Any]:
    """study.json; empty where there is none."""
    found = optional(folder, "study.json")
    _check(_Study, found, folder / "study.json")
    return found


def optional(folder: Path, name: str) -> dict[str, Any]:
    """An object in a file that may be absent."""
    return _object(folder, name) if (folder / name).exists() else {}


def rows(folder: Path, name: str, kind: type[Record]) -> list[Record]:
    """The lines of a file as records of one kind; none where the file is absent. Keys that a later version
    added are left out. BadInput for lines of another shape and for names that lead out of the folder."""
    path = _inside(folder, name)
    return records(kind, read_jsonl(path), path)


def records(kind: type[Record], given: Iterable[Any], where: Path) -> list[Record]:
    """Records that stand in a file already read."""
    read: Any = _reader
    try:
        return [read(kind).validate_python(one) for one in given]
    except ValidationError as error:
        raise _other(error, where) from None


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _object(folder: Path, name: str) -> dict[str, Any]:
    found = read_json(_inside(folder, name))
    if not isinstance(found, dict):
        raise BadInput("the file holds no object.", where=str(folder / name))
    return found


def _inside(folder: Path, name: str) -> Path:
    path = inside(folder, name)
    if path is None:
        raise BadInput(f"{name!r} leads out of the directory, and is not read.", where=str(folder))
    return path


def _check_name(name: Any, where: Path) -> None:
    try:
        _names_a_file(str(name))
    except ValueError as error:
        raise BadInput(f"{name!r}: {error}.", where=str(where)) from None


def _check(model: type[BaseModel], found: Any, where: Path) -> None:
    try:
        model.model_validate(found)
    except ValidationError as error:
        raise _other(error, where) from None


def _other(error: ValidationError, where: Path) -> BadInput:
    first = error.errors()[0]
    place = ".".join(str(part)[:60] for part in first["loc"])
    what = where.stem if where.suffix == ".json" else "file"
    return BadInput(f"not a {what} of ours: {place}: {first['msg']}.", where=str(where))
