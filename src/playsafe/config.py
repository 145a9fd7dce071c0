"""Study configuration: one YAML file, `--set a.b=c` on top, every key known or refused.

Key names are those of TRL, Axolotl and `transformers.TrainingArguments` where they exist there.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from playsafe.errors import BadInput, nearest
from playsafe.rundir import slug

SystemTurn = Literal["none", "empty", "role"]


class Section(BaseModel):
    """Part of a configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Section):
    """The aligned chat model that is scored, trained from and compared with."""

    name_or_path: str = Field("tiny", description="'tiny' (embedded), a directory or a hub id")
    adapter: str | None = Field(None, description="LoRA adapter merged into the model before anything else")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    attn_implementation: str | None = None
    trust_remote_code: bool = False


class RolesConfig(Section):
    """Who is trained: names from a roles file."""

    path: str = Field("tiny", description="'tiny', a YAML/JSON roles file, or RoleBench's desc.json")
    names: list[str] | None = Field(None, description="a selection; all of the file when absent")


class DataConfig(Section):
    """Role-play rows. `{role}` in a path is replaced by the role's name."""

    path: str = "tiny"
    references: str | None = Field(
        None, description="held-out rows for ROUGE-L; else `held_out` rows are kept back"
    )
    held_out: int = Field(40, ge=0)
    replies: Literal["first", "all"] = "first"
    limit: int | None = Field(None, ge=1)
    max_length: int = Field(1024, ge=8)
    overlong: Literal["error", "drop", "truncate"] = "error"
    seed: int = 0


class ScoringConfig(Section):
    """RDS."""

    threshold: float = 0.0
    tokens_per_batch: int = Field(8192, ge=64)


class LoraSettings(Section):
    """LoRA; the paper's released settings are r 32, alpha 64, dropout 0, q and v projections."""

    r: int = Field(32, ge=1)
    lora_alpha: int = 64
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] | str = Field(default_factory=lambda: ["q_proj", "v_proj"])
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: bool | str = True


class TrainingConfig(Section):
    """Settings of every training run. `extra` goes to `transformers.TrainingArguments` as it is."""

    lora: LoraSettings | None = Field(default_factory=LoraSettings, description="null: full fine-tuning")
    reference: Literal["auto", "adapter_off", "bank", "model"] = "auto"
    system: SystemTurn = "none"
    learning_rate: float = Field(1e-4, gt=0)
    num_train_epochs: float = Field(1.0, gt=0)
    max_steps: int = -1
    per_device_train_batch_size: int = Field(4, ge=1)
    gradient_accumulation_steps: int = Field(8, ge=1)
    lr_scheduler_type: str = "constant"
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    optim: str = "adamw_torch"
    bf16: bool = False
    gradient_checkpointing: bool = False
    logging_steps: int = Field(5, ge=1)
    save_steps: int = Field(50, ge=1)
    report_to: list[str] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)


class SuiteConfig(Section):
    """One set of evaluation prompts. kind: what a good answer is."""

    name: str = Field(pattern=r"^\w[\w.-]*$", description="letters, digits, dot, dash; names files")
    kind: Literal["harmful", "benign"]
    path: str = Field(description="'tiny:harmful', 'tiny:benign', or a CSV/JSON/JSONL file")
    column: str | None = None
    subset: str | None = Field(
        None, description="'column=value', 'column!=value', 'column^=prefix', 'column!^=prefix'"
    )
    limit: int | None = Field(None, ge=1)
    seed: int | None = None


class GenerationConfig(Section):
    """Decoding. `sampling: model` uses the model's own generation settings, as the paper does."""

    sampling: Literal["greedy", "model"] = "greedy"
    max_new_tokens: int = Field(128, ge=1)
    batch_size: int = Field(32, ge=1)
    seed: int = 0


class EvaluationConfig(Section):
    """What is asked and how it is judged."""

    suites: list[SuiteConfig] = Field(
        default_factory=lambda: [
            SuiteConfig(name="harmful", kind="harmful", path="tiny:harmful"),
            SuiteConfig(name="benign", kind="benign", path="tiny:benign"),
        ]
    )
    system: SystemTurn = "none"
    judge: str = "rules"
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    in_character: bool = True

    @field_validator("suites")
    @classmethod
    def _distinct(cls, suites: list[SuiteConfig]) -> list[SuiteConfig]:
        names = [suite.name for suite in suites]
        if len(set(names)) < len(names) or "references" in names:
            raise ValueError("suite names must differ from each other and from 'references'")
        return suites


class MethodConfig(Section):
    """One training method with its options; `label` tells variants of one method apart."""

    name: str
    label: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.label or self.name


class StudyConfig(Section):
    """A whole study: the grid roles × methods × seeds on one model."""

    name: str = "study"
    output_dir: str = "runs/study"
    model: ModelConfig = Field(default_factory=ModelConfig)
    roles: RolesConfig = Field(default_factory=RolesConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    scoring: ScoringConfig = Field(default_factory=ScoringConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    methods: list[MethodConfig] = Field(
        default_factory=lambda: [MethodConfig(name="sft"), MethodConfig(name="sarft")]
    )
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)

    @field_validator("methods", mode="before")
    @classmethod
    def _names_to_methods(cls, methods: Any) -> Any:
        return (
            [{"name": m} if isinstance(m, str) else m for m in methods]
            if isinstance(methods, list)
            else methods
        )

    @field_validator("methods")
    @classmethod
    def _distinct_methods(cls, methods: list[MethodConfig]) -> list[MethodConfig]:
        keys = [slug(method.key) for method in methods]
        if len(set(keys)) < len(keys) or any(method.key == "base" for method in methods):
            raise ValueError("labels of methods must differ in letters or digits, and none may be 'base'")
        return methods

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must differ from each other")
        return seeds


def load_study(path: Path | None, overrides: list[str] | None = None) -> StudyConfig:
    """Read a study from YAML and apply `a.b=c` overrides (values are YAML). Raises BadInput."""
    raw: Any = {}
    if path is not None:
        raw = read_yaml(path)
        if not isinstance(raw, dict):
            raise BadInput("a study is a mapping of keys.", where=str(path))
    for override in overrides or []:
        _apply(raw, override)
    where = str(path) if path else "--set"
    try:
        return StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise explain(error, StudyConfig, where) from None


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
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=UniqueKeyLoader) or {}
    except (FileNotFoundError, IsADirectoryError):
        raise BadInput("the file does not exist.", where=str(path), next="Check the path.") from None
    except UnicodeDecodeError:
        raise BadInput("the file is not UTF-8.", where=str(path), next="Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise BadInput(f"broken YAML: {getattr(error, 'problem', error)}.", where=f"{path}{line}") from None


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


def explain(error: ValidationError, model: type[BaseModel], where: str) -> BadInput:
    """One clear line from the first fault pydantic found; unknown keys name the nearest known one."""
    first = error.errors()[0]
    path = [part for part in first["loc"] if isinstance(part, str)]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = _section(model, path[:-1])
        hint = nearest(path[-1], section.model_fields) if section else ""
        known = ", ".join(section.model_fields) if section else ""
        return BadInput(f"unknown key {key!r}. {hint}", where=where, allowed=known)
    allowed = str(first.get("ctx", {}).get("expected", ""))
    given = first.get("input")
    shown = f" (given {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return BadInput(f"{key}: {first['msg']}{shown}.", where=where, allowed=allowed)


def _section(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    for name in path:
        field = model.model_fields.get(name)
        if field is None:
            return None
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        found = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not found:
            return None
        model = found[0]
    return model
