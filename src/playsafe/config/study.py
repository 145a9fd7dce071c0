"""A whole study, and how it is read: one YAML file, `--set a.b=c` on top."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from playsafe.config.arms import ArmConfig
from playsafe.config.evaluation import EvaluationConfig, TargetConfig
from playsafe.config.paths import home, located
from playsafe.config.training import (
    BY_NAME,
    DataConfig,
    MethodConfig,
    ModelConfig,
    PairsConfig,
    RolesConfig,
    ScoringConfig,
    TrainingConfig,
    distinct,
)
from playsafe.errors import BadInput
from playsafe.matters import TRAINING, Matters
from playsafe.rundir import slug
from playsafe.settings import Section, explain, parse_yaml, read_yaml

DIFFER = "labels of methods must differ in letters or digits, and none may be 'base'"
LABELS = distinct(DIFFER, lambda one: slug(one.key), slug("base"))
SEEDS = distinct("seeds must differ from each other")
Seed = Annotated[int, Field(ge=0, lt=2**32)]
TARGETS = distinct("two targets of one name need different roles", lambda one: (slug(one.name), one.role))
PLAYED = Matters(lambda own, uses: uses.roles > 0, "a target that plays a role")
PAIRED = Matters(lambda own, uses: uses.pairs, "a method that takes pairs: mpo, sft with `pairs: chosen`")
SCORED = Matters(lambda own, uses: uses.trains and uses.roles > 0, "roles whose rows are scored")


class StudyConfig(Section):
    """A whole study: the grid roles × methods × seeds on one model."""

    name: str = "study"
    output_dir: str = Field("runs/study", pattern=r"\S")
    model: ModelConfig = Field(default_factory=ModelConfig)
    roles: Annotated[RolesConfig | None, PLAYED] = Field(
        default_factory=RolesConfig, description="null: no role, no rows"
    )
    pairs: Annotated[PairsConfig | None, PAIRED] = None
    data: DataConfig = Field(default_factory=DataConfig)
    scoring: Annotated[ScoringConfig, SCORED] = Field(default_factory=ScoringConfig)
    training: Annotated[TrainingConfig, TRAINING] = Field(default_factory=TrainingConfig)
    methods: Annotated[list[MethodConfig], BY_NAME, LABELS, TRAINING] = Field(
        default_factory=lambda: [MethodConfig(name="sft"), MethodConfig(name="sarft")],
        description="each an arm of its own; none where `arms` stand alone",
    )
    arms: Annotated[list[ArmConfig], TRAINING] = Field([], description="trained, or made from one before")
    seeds: Annotated[list[Seed], SEEDS, TRAINING] = Field(default_factory=lambda: [0], min_length=1)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    targets: Annotated[list[TargetConfig], TARGETS] = Field([], description="evaluated instead of the grid")
    _asked_of_others: bool = PrivateAttr(False)

    @model_validator(mode="before")
    @classmethod
    def _arms_alone(cls, raw: Any) -> Any:
        alone = isinstance(raw, dict) and raw.get("arms") and "methods" not in raw
        return {**raw, "methods": []} if alone else raw

    @model_validator(mode="after")
    def _arms_in_order(self) -> StudyConfig:
        known = ["base", *(method.key for method in self.methods)]
        decoded = {arm.name for arm in self.arms if arm.decode is not None}
        for arm in self.arms:
            if slug(arm.name) in map(slug, known):
                raise ValueError(f"two arms are called {arm.name!r}")
            if arm.source is not None and arm.source not in known:
                raise ValueError(f"no arm {arm.source!r} stands before {arm.name!r}, which is made from it")
            if arm.source in decoded:
                raise ValueError(f"{arm.name!r} is made from {arm.source!r}, which has no weights of its own")
            known.append(arm.name)
        return self

    @property
    def grid(self) -> bool:
        """Whether there is a grid of arms; a study of targets has one where it names methods or arms, too."""
        named = bool(self.arms) or ("methods" in self.model_fields_set and bool(self.methods))
        return named or not self.targets

    @property
    def unsaid(self) -> bool:
        """Whether nothing says what is studied, so that everything is the embedded study's."""
        return self.model_fields_set <= {"name", "output_dir"}

    @property
    def trains(self) -> bool:
        """Whether the file describes a training. Targets that only the command line names leave it one."""
        return self.grid or self._asked_of_others


def load_study(
    path: Path | None, overrides: list[str] | None = None, changes: dict[str, Any] | None = None
) -> StudyConfig:
    """Read a study from YAML and apply `a.b=c` overrides (values are YAML), then changes. Raises BadInput.

    Relative paths in the file are looked for beside it first, those of overrides and changes are of the
    current directory.
    changes: keys as in the file, in their place; "gates" are added to those of `evaluation`.
    """
    raw: Any = {}
    if path is not None:
        path = Path(home(str(path)))
        raw = read_yaml(path)
        if not isinstance(raw, dict):
            raise BadInput("a study is a mapping of keys.", where=str(path))
        _refuse_empty(raw, path)
        located(raw, path.parent)
    asked_of_others = path is not None and not raw.get("targets")
    for override in overrides or []:
        _apply(raw, override)
    if "output_dir" in (changes or {}) and any(
        o.partition("=")[0].strip() == "output_dir" for o in overrides or []
    ):
        raise BadInput("--set output_dir and --out name two places.", next="Give --out alone.")
    for key, value in (changes or {}).items():
        if key == "gates":
            evaluation = raw.setdefault("evaluation", {})
            if isinstance(evaluation, dict):  # else the validation says what is wrong with it
                evaluation["gates"] = [*(evaluation.get("gates") or []), *value]
        else:
            raw[key] = value
    located(raw)
    where = str(path) if path else "--set"
    _refuse_halves(raw, where)
    try:
        study = StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise explain(error, StudyConfig, where) from None
    study._asked_of_others = asked_of_others
    return study


def _refuse_empty(raw: dict[str, Any], path: Path) -> None:
    """A file that says nothing would be the embedded study, which nobody meant by it."""
    if all(value in (None, {}, []) for value in raw.values()):
        raise BadInput(
            "the study's file is empty.",
            where=str(path),
            next="Name model, roles, data and evaluation; the embedded study is `playsafe quickstart`.",
        )


def _refuse_halves(raw: dict[str, Any], where: str) -> None:
    """Text that can be written into no file."""
    try:
        json.dumps(raw, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError:
        raise BadInput("a text holds half of a surrogate pair, which no text has.", where=where) from None
    except (RecursionError, ValueError):
        raise BadInput("a value is nested too deeply, or a number has no end.", where=where) from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, sign, value = override.partition("=")
    if not sign or not key.strip():
        raise BadInput(
            f"--set {override!r} is not of the form a.b=c.", allowed="for example training.learning_rate=1e-4"
        )
    *parents, last = key.strip().split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise BadInput(f"--set {override!r}: {parent!r} is not a section.")
    node[last] = _value(value)


def _value(text: str) -> Any:
    value = parse_yaml(text, "--set")
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value
