"""The part of a study that trains: model, roles, rows, pairs, scores, settings of a run, methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from playsafe.matters import ROLES, TRAINING, Matters
from playsafe.registry import Registry, short
from playsafe.settings import Section

SystemTurn = Literal["none", "empty", "role"]


def _named(listed: Any) -> Any:
    """`[sft, sarft]` for `[{name: sft}, {name: sarft}]`."""
    named = isinstance(listed, list)
    return [{"name": one} if isinstance(one, str) else one for one in listed] if named else listed


def distinct(message: str, key: Callable[[Any], Any] = lambda one: one, taken: Any = None) -> AfterValidator:
    """A list in which no key stands twice, nor one that is taken. message: what is said of one that does."""

    def check(listed: list[Any] | None) -> list[Any] | None:
        keys = [key(one) for one in listed or ()]
        if len({*keys, taken}) <= len(keys):
            raise ValueError(message)
        return listed

    return AfterValidator(check)


BY_NAME = BeforeValidator(_named)
ONE_OR_MORE = BeforeValidator(lambda given: [given] if isinstance(given, str) else given)
SystemTurns = Annotated[list[SystemTurn], ONE_OR_MORE, distinct("system turns must differ from each other")]


class ModelConfig(Section):
    """The aligned chat model that is scored, trained from and compared with."""

    name_or_path: str = Field("tiny", min_length=1, description="'tiny' (embedded), a directory or a hub id")
    adapter: str | None = Field(
        None, min_length=1, description="LoRA adapter merged into the model before anything else"
    )
    revision: str | None = Field(None, min_length=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    template: dict[str, Any] = Field(
        default_factory=dict, description="arguments of the chat template, such as {enable_thinking: false}"
    )


class RolesConfig(Section):
    """Who is trained: names from a roles file."""

    path: str = Field("tiny", description="'tiny', a YAML/JSON roles file, or RoleBench's desc.json")
    names: list[str] | None = Field(None, description="a selection; all of the file when absent")


KEPT_BACK = Matters(lambda own, uses: own.references is None, "rows to keep back: `references: null`")


class DataConfig(Section):
    """Role-play rows. `{role}` in a path is replaced by the role's name."""

    path: Annotated[str, ROLES] = "tiny"
    references: Annotated[str | None, ROLES] = Field(
        default_factory=lambda given: "tiny" if given.get("path") == "tiny" else None,
        description="held-out rows for ROUGE-L; null: `held_out` rows are kept back. 'tiny' has its own",
    )
    held_out: Annotated[int, ROLES, KEPT_BACK] = Field(40, ge=0)
    replies: Annotated[Literal["first", "all"], ROLES] = "first"
    limit: Annotated[int | None, ROLES, TRAINING] = Field(None, ge=1)
    max_length: Annotated[int, TRAINING] = Field(1024, ge=8)
    overlong: Annotated[Literal["error", "drop", "truncate"], TRAINING] = "error"
    seed: Annotated[int, ROLES, KEPT_BACK] = Field(0, ge=0, lt=2**32)


class PairsConfig(Section):
    """Parallel preference pairs: every request in the dominant language and in others, with a safe and an
    unsafe reply.

    A target side is one language under one system turn; each is led to the reward gap that the frozen model
    has for the same request in the dominant language without a system turn. That side itself is a target
    only where `languages` names the dominant one.
    """

    path: str = Field("tiny", description="'tiny', a file in MPO's format, or rows of group, language, ...")
    dominant: str = Field("en", description="the language whose safety is carried to the others")
    languages: Annotated[list[str] | None, distinct("each may be named once")] = Field(
        None, min_length=1, description="of the targets; all of the file when absent"
    )
    system: SystemTurns = Field(["none"], min_length=1, description="system turns of the targets")
    limit: int | None = Field(None, ge=1, description="so many requests, each in all of its languages")
    faults: Literal["keep", "drop", "error"] = Field(
        "keep", description="what happens to pairs that `playsafe data pairs` finds fault with"
    )


class ScoringConfig(Section):
    """RDS."""

    threshold: float = 0.0
    tokens_per_batch: int = Field(8192, ge=64)


class LoraSettings(Section):
    """LoRA; the paper's released settings are r 32, alpha 64, dropout 0, q and v projections."""

    r: int = Field(32, ge=1)
    lora_alpha: int = Field(64, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] | str = Field(default_factory=lambda: ["q_proj", "v_proj"])
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: bool | str = True


NOT_NUMBERS = {"save_steps", "logging_steps", "report_to", "gap_steps", "gap_pairs"}  # of training
# LoRA whose start changes the base weights is allowed under another reference than the default
HELD_TO = Matters(
    lambda own, uses: uses.reference or (own.lora and isinstance(own.lora.init_lora_weights, str)),
    "a method that needs a reference",
)
SCHEDULED = Matters(
    lambda own, uses: own.lr_scheduler_type not in ("constant", "reduce_lr_on_plateau", "greedy"),
    "a schedule that warms up, as 'constant' does not",
)
GAPS = Matters(lambda own, uses: own.gap_steps > 0, "gap_steps above 0")


def _steps(given: int) -> int:
    if given < 1 and given != -1:
        raise ValueError("so many steps train nothing; -1 is for all of the epochs")
    return given


class TrainingConfig(Section):
    """Settings of every training run. `extra` goes to `transformers.TrainingArguments` as it is."""

    lora: LoraSettings | None = Field(default_factory=LoraSettings, description="null: full fine-tuning")
    reference: Annotated[Literal["auto", "adapter_off", "bank", "model"], HELD_TO] = "auto"
    system: Annotated[SystemTurn, ROLES] = "none"
    learning_rate: float = Field(1e-4, gt=0, lt=1e38)
    num_train_epochs: float = Field(1.0, gt=0)
    max_steps: Annotated[int, AfterValidator(_steps)] = Field(
        -1, description="-1: as many as the epochs have"
    )
    per_device_train_batch_size: int = Field(4, ge=1)
    gradient_accumulation_steps: int = Field(8, ge=1)
    lr_scheduler_type: str = "constant"
    warmup_steps: Annotated[int | float, SCHEDULED] = Field(0, ge=0, description="below 1: a share of all")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    optim: str = "adamw_torch"
    bf16: bool = False
    gradient_checkpointing: bool = False
    logging_steps: int = Field(5, ge=1)
    save_steps: int = Field(50, ge=1)
    gap_steps: int = Field(0, ge=0, description="log the reward gap of the pairs suites so often; 0: never")
    gap_pairs: Annotated[int, GAPS] = Field(32, ge=1, description="of so many pairs a suite")
    report_to: list[str] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)


class Named(Section):
    """Something from a registry with its options; `label` tells variants of one thing apart."""

    registry: ClassVar[Registry[Any]]

    name: str
    label: str = Field("", pattern=r"^$|\w")
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.label or short(self.name)

    def parsed(self) -> Any:
        """Its validated options. Raises BadInput."""
        return self.registry.options(self.name, self.options, f"{self.registry.where}.{self.key}")


class MethodConfig(Named):
    """One training method."""

    registry = Registry("playsafe.methods", "METHOD", "method", "methods")
