"""A whole study, and how it is read: one YAML file, `--set a.b=c` on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from playsafe.config.arms import ArmConfig
from playsafe.config.evaluation import EvaluationConfig, TargetConfig
from playsafe.config.training import (
    DataConfig,
    MethodConfig,
    ModelConfig,
    PairsConfig,
    RolesConfig,
    ScoringConfig,
    TrainingConfig,
    from_names,
)
from playsafe.errors import BadInput
from playsafe.rundir import slug
from playsafe.settings import Section, explain, read_yaml


class StudyConfig(Section):
    """A whole study: the grid roles × methods × seeds on one model."""

    name: str = "study"
    output_dir: str = "runs/study"
    model: ModelConfig = Field(default_factory=ModelConfig)
    roles: RolesConfig | None = Field(default_factory=RolesConfig, description="null: no role, no rows")
    pairs: PairsConfig | None = None
    data: DataConfig = Field(default_factory=DataConfig)
    scoring: ScoringConfig = Field(default_factory=ScoringConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    methods: list[MethodConfig] = Field(
        default_factory=lambda: [MethodConfig(name="sft"), MethodConfig(name="sarft")],
        description="each an arm of its own; none where `arms` stand alone",
    )
    arms: list[ArmConfig] = Field(default_factory=list)
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    targets: list[TargetConfig] = Field(default_factory=list, description="evaluated instead of the grid")

    @field_validator("targets")
    @classmethod
    def _distinct_targets(cls, targets: list[TargetConfig]) -> list[TargetConfig]:
        keys = [(slug(target.name), target.role) for target in targets]
        if len(set(keys)) < len(keys):
            raise ValueError("two targets of one name need different roles")
        return targets

    @field_validator("methods", mode="before")
    @classmethod
    def _names_alone(cls, methods: Any) -> Any:
        return from_names(methods)

    @field_validator("methods")
    @classmethod
    def _distinct_methods(cls, methods: list[MethodConfig]) -> list[MethodConfig]:
        keys = [slug(method.key) for method in methods]
        if len(set(keys)) < len(keys) or any(method.key == "base" for method in methods):
            raise ValueError("labels of methods must differ in letters or digits, and none may be 'base'")
        return methods

    @model_validator(mode="before")
    @classmethod
    def _arms_alone(cls, raw: Any) -> Any:
        alone = isinstance(raw, dict) and raw.get("arms") and "methods" not in raw
        return {**raw, "methods": []} if alone else raw

    @model_validator(mode="after")
    def _arms_in_order(self) -> StudyConfig:
        known = ["base", *(method.key for method in self.methods)]
        for arm in self.arms:
            if slug(arm.name) in map(slug, known):
                raise ValueError(f"two arms are called {arm.name!r}")
            if arm.source is not None and arm.source not in known:
                raise ValueError(f"no arm {arm.source!r} stands before {arm.name!r}, which is made from it")
            known.append(arm.name)
        return self

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must differ from each other")
        return seeds


def load_study(
    path: Path | None, overrides: list[str] | None = None, changes: dict[str, Any] | None = None
) -> StudyConfig:
    """Read a study from YAML and apply `a.b=c` overrides (values are YAML), then changes. Raises BadInput.

    changes: keys as in the file, in their place; "gates" are added to those of `evaluation`.
    """
    raw: Any = {}
    if path is not None:
        raw = read_yaml(path)
        if not isinstance(raw, dict):
            raise BadInput("a study is a mapping of keys.", where=str(path))
    for override in overrides or []:
        _apply(raw, override)
    for key, value in (changes or {}).items():
        if key == "gates":
            evaluation = raw.setdefault("evaluation", {})
            if isinstance(evaluation, dict):  # else the validation says what is wrong with it
                evaluation["gates"] = [*(evaluation.get("gates") or []), *value]
        else:
            raw[key] = value
    where = str(path) if path else "--set"
    try:
        return StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise explain(error, StudyConfig, where) from None


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
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise BadInput(f"--set value {text!r} is not YAML.") from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value
