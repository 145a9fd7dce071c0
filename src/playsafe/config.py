"""Study configuration: one YAML file, `--set a.b=c` on top, every key known or refused.

Key names are those of TRL, Axolotl and `transformers.TrainingArguments` where they exist there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from playsafe.errors import BadInput
from playsafe.registry import short
from playsafe.rundir import slug
from playsafe.settings import Section, explain, read_yaml

SystemTurn = Literal["none", "empty", "role"]
SuiteKind = Literal["harmful", "benign", "dark", "references", "task", "pairs"]


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


class PairsConfig(Section):
    """Parallel preference pairs: every request in the dominant language and in others, with a safe and an
    unsafe reply.

    A target side is one language under one system turn; each is led to the reward gap that the frozen model
    has for the same request in the dominant language without a system turn. That side itself is a target
    only where `languages` names the dominant one.
    """

    path: str = Field("tiny", description="'tiny', a file in MPO's format, or rows of group, language, ...")
    dominant: str = Field("en", description="the language whose safety is carried to the others")
    languages: list[str] | None = Field(
        None, min_length=1, description="of the targets; all of the file when absent"
    )
    system: list[SystemTurn] = Field(["none"], min_length=1, description="system turns of the targets")
    limit: int | None = Field(None, ge=1, description="so many requests, each in all of its languages")
    faults: Literal["keep", "drop", "error"] = Field(
        "keep", description="what happens to pairs that `playsafe data pairs` finds fault with"
    )

    @field_validator("system", mode="before")
    @classmethod
    def _one_turn(cls, system: Any) -> Any:
        return [system] if isinstance(system, str) else system

    @field_validator("system", "languages")
    @classmethod
    def _distinct(cls, listed: list[str] | None) -> list[str] | None:
        if listed is not None and len(set(listed)) < len(listed):
            raise ValueError("each may be named once")
        return listed


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
    warmup_steps: int | float = Field(0, ge=0, description="below 1: a share of all steps")
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    optim: str = "adamw_torch"
    bf16: bool = False
    gradient_checkpointing: bool = False
    logging_steps: int = Field(5, ge=1)
    save_steps: int = Field(50, ge=1)
    gap_steps: int = Field(0, ge=0, description="log the reward gap of the pairs suites so often; 0: never")
    gap_pairs: int = Field(32, ge=1, description="of so many pairs a suite")
    report_to: list[str] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)


class Named(Section):
    """Something from a registry with its options; `label` tells variants of one thing apart."""

    name: str
    label: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.label or short(self.name)


class MethodConfig(Named):
    """One training method."""


class AttackConfig(Named):
    """One jailbreak, asked on top of the plain harmful suites (or of the suites named here)."""

    label: str = Field("", pattern=r"^(\w[\w.-]*)?$")
    suites: list[str] | None = None


class JudgeConfig(Named):
    """One judge; several judge the same replies side by side."""

    label: str = Field("", pattern=r"^(\w[\w-]*)?$", description="no dot: it ends a file's name")


class EndpointConfig(Section):
    """An OpenAI-compatible server. The key is read from an environment variable and stored nowhere."""

    base_url: str = Field(description="for example http://127.0.0.1:8000/v1")
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(8, ge=1)
    retries: int = Field(4, ge=0)
    timeout: float = Field(120.0, gt=0, description="seconds a request may take")
    max_requests: int | None = Field(None, ge=1, description="budget of one run of the command")


class TargetConfig(Section):
    """Somebody to evaluate who was not trained here: exactly one of the four sources.

    name: a label; "base" takes the place of the aligned model in every comparison. role: who it plays.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$")
    adapter: str | None = Field(None, description="LoRA adapter on the study's model")
    model: str | None = Field(None, description="a directory or hub id of its own")
    endpoint: EndpointConfig | None = None
    completions: str | None = Field(None, description="file of replies that are there already")
    role: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> TargetConfig:
        given = [name for name in ("adapter", "model", "endpoint", "completions") if getattr(self, name)]
        if len(given) > 1 or (not given and self.name != "base"):
            raise ValueError(f"a target has one of adapter, model, endpoint, completions; given: {given}")
        return self


class SuiteConfig(Section):
    """One set of evaluation prompts. kind: what a good answer is.

    A known suite (`playsafe suites`) needs its name alone; other prompts need a path and a kind. "task" has a
    right answer to each prompt, "pairs" a safe and an unsafe reply whose likelihoods are compared.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$", description="letters, digits, dot, dash; names files")
    suite: str | None = Field(None, description="a known suite, where `name` is a label of yours")
    kind: SuiteKind | None = None
    path: str | None = Field(
        None, description="'tiny:harmful' and the like, a CSV/JSON/JSONL file; a known suite's file or folder"
    )
    column: str | None = None
    subset: str | None = Field(
        None, description="'column=value', 'column!=value', 'column^=prefix', 'column!^=prefix'"
    )
    language: str | None = Field(None, description="of its prompts; chooses one where there are several")
    limit: int | None = Field(None, ge=1)
    seed: int | None = None


class GenerationConfig(Section):
    """Decoding. `sampling: model` uses the model's own generation settings, as the paper does."""

    sampling: Literal["greedy", "model"] = "greedy"
    max_new_tokens: int = Field(128, ge=1)
    batch_size: int = Field(32, ge=1)
    seed: int = 0


class VoiceConfig(Section):
    """Persona consistency under the frozen base: role log-likelihood ratio, closed-set attribution."""

    measure: bool = True
    attribution: int = Field(0, ge=0, description="so many replies a suite are attributed to the roles")


class EvaluationConfig(Section):
    """What is asked and how it is judged."""

    data_dir: str | None = Field(None, description="where the files of known suites lie, at any depth")
    hub: bool = Field(False, description="fetch files of known suites from the hub when they lie nowhere")
    suites: list[SuiteConfig] = Field(
        default_factory=lambda: [
            SuiteConfig(name="harmful", kind="harmful", path="tiny:harmful"),
            SuiteConfig(name="benign", kind="benign", path="tiny:benign"),
        ]
    )
    attacks: list[AttackConfig] = Field(default_factory=list)
    system: list[SystemTurn] = Field(["none"], min_length=1)
    judges: list[JudgeConfig] = Field(default_factory=lambda: [JudgeConfig(name="rules")], min_length=1)
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    voice: VoiceConfig = Field(default_factory=VoiceConfig)
    gates: list[str] = Field(default_factory=list, description="for example 'refusal >= 0.95'")
    show: list[str] = Field(
        default_factory=lambda: ["refusal", "over_refusal", "rouge_l"], description="measures shown first"
    )
    stop_early: bool = Field(False, description="stop a suite when its interval clears every gate")

    @field_validator("suites", "attacks", "judges", mode="before")
    @classmethod
    def _names_alone(cls, listed: Any) -> Any:
        return _from_names(listed)

    @field_validator("system", mode="before")
    @classmethod
    def _one_turn(cls, system: Any) -> Any:
        return [system] if isinstance(system, str) else system

    @field_validator("suites")
    @classmethod
    def _distinct_suites(cls, suites: list[SuiteConfig]) -> list[SuiteConfig]:
        names = [suite.name for suite in suites]
        if len(set(names)) < len(names) or "references" in names:
            raise ValueError("suite names must differ from each other and from 'references'")
        return suites

    @field_validator("attacks", "judges")
    @classmethod
    def _distinct_labels(cls, listed: list[Any]) -> list[Any]:
        keys = [one.key for one in listed]
        if len(set(keys)) < len(keys):
            raise ValueError("two of one name need different labels")
        return listed

    @field_validator("system")
    @classmethod
    def _distinct_turns(cls, system: list[SystemTurn]) -> list[SystemTurn]:
        if len(set(system)) < len(system):
            raise ValueError("system turns must differ from each other")
        return system


def _from_names(listed: Any) -> Any:
    """`[sft, sarft]` for `[{name: sft}, {name: sarft}]`."""
    if not isinstance(listed, list):
        return listed
    return [{"name": one} if isinstance(one, str) else one for one in listed]


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
        default_factory=lambda: [MethodConfig(name="sft"), MethodConfig(name="sarft")]
    )
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
        return _from_names(methods)

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
