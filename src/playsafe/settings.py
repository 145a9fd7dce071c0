"""How a section of settings is read: unknown keys, broken YAML and wrong values are one clear line each."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from playsafe.errors import BadInput, in_words, nearest


class Section(BaseModel):
    """Part of a configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, given: Any, info: ValidationInfo) -> Any:
        """true would be read as 1."""
        listed = given if isinstance(given, list) else [given]
        allowed = _types(cls.model_fields[str(info.field_name)].annotation)
        if any(isinstance(one, bool) for one in listed) and {int, float} & allowed and bool not in allowed:
            raise ValueError("a number is wanted, not true or false")
        return given


def _types(annotation: Any) -> set[Any]:
    """Every type that an annotation is made of."""
    return {annotation}.union(*map(_types, get_args(annotation)))


AnySection = TypeVar("AnySection", bound=Section)


def parse_section(section: type[AnySection], raw: dict[str, Any], where: str) -> AnySection:
    """A validated section from a mapping; BadInput in one line when it does not fit."""
    try:
        return section.model_validate(raw)
    except ValidationError as error:
        raise explain(error, section, where) from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> BadInput:
    """One clear line from the first fault pydantic found; unknown keys name the nearest known one."""
    first = error.errors()[0]
    path = [part for part in first["loc"] if isinstance(part, str)]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = _section(model, path[:-1])
        known = [field.alias or name for name, field in section.model_fields.items()] if section else []
        what = f"unknown key {_short(key)}. {nearest(path[-1], known)}"
        return BadInput(what, where=where, allowed=", ".join(known))
    allowed = str(first.get("ctx", {}).get("expected", ""))
    given = first.get("input")
    shown = ""
    if isinstance(given, (str, int, float, bool)) and first["type"] != "secret":
        shown = f" (given {_short(given)})"
    return BadInput(f"{key}: {first['msg']}{shown}.", where=where, allowed=allowed)


def _short(given: Any) -> str:
    try:
        text = repr(given)
    except ValueError:  # an integer without end
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _section(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    for name in path:
        field = model.model_fields.get(name) or next(
            (field for field in model.model_fields.values() if field.alias == name), None
        )
        if field is None:
            return None
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        found = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not found:
            return None
        model = found[0]
    return model


LARGEST = 1_000_000  # values in a file of settings, its aliases unfolded


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice: YAML itself would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; BadInput with the line when it is missing or broken."""
    if not path.is_file():
        raise BadInput("the file does not exist.", where=str(path), next="Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("the file is not UTF-8.", where=str(path), next="Save it as UTF-8.") from None
    return parse_yaml(text, str(path)) or {}


def parse_yaml(text: str, where: str) -> Any:
    """`text` as YAML. BadInput with the line where it is broken, nests without end, or unfolds to more than
    is in it."""
    try:
        loader = UniqueKeyLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > LARGEST:
                raise BadInput("its aliases unfold to more than can be read.", where=where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark and where != "--set" else ""
        raise BadInput(f"broken YAML: {getattr(error, 'problem', error)}.", where=f"{where}{line}") from None
    except BadInput:
        raise
    except (ValueError, OverflowError, RecursionError) as error:  # dates that are none, numbers without end
        raise BadInput(f"broken YAML: {in_words(error)}.", where=where) from None


def _size(node: Any, known: dict[int, int]) -> int:
    """How many values a node unfolds to; an alias counts whole each time, one in itself without end."""
    if id(node) not in known:
        known[id(node)] = LARGEST + 1  # of one that is met again inside of itself
        inner = node.value if isinstance(node.value, list) else []
        parts = [part for one in inner for part in (one if isinstance(one, tuple) else (one,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
