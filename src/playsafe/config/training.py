"""The part of a study that trains: model, roles, rows, pairs, scores, settings of a run, methods."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from playsafe.registry import short
from playsafe.settings import Section

SystemTurn = Literal["none", "empty", "role"]


def from_names(listed: Any) -> Any:
    """`[sft, sarft]` for `[{name: sft}, {name: sarft}]`."""
    if not isinstance(listed, list):
        return listed
    return [{"name": one} if isinstance(one, str) else one for one in listed]


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
        default_factory=lambda given: "tiny" if given.get("path") == "tiny" else None,
        description="held-out rows for ROUGE-L; null: `held_out` rows are kept back. 'tiny' has its own",
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


NOT_NUMBERS = frozenset({"save_steps", "logging_steps", "report_to", "gap_steps", "gap_pairs"})  # of training


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
