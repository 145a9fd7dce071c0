"""The part of a study that evaluates: suites, attacks, judges, decoding, voice, and who is asked."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from playsafe.config.training import Named, SystemTurn, from_names
from playsafe.settings import Section

SuiteKind = Literal["harmful", "benign", "dark", "references", "task", "pairs"]


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

    @model_validator(mode="before")
    @classmethod
    def _embedded_names_say_kind_and_language(cls, given: Any) -> Any:
        """Of "tiny:harmful:de" they need not be written; another kind or language than its own is refused."""
        world, *told = str(given.get("path")).split(":") if isinstance(given, dict) else [""]
        if world != "tiny" or told[:1] not in [[kind] for kind in get_args(SuiteKind)]:
            return given
        own = dict(zip(("kind", "language"), told, strict=False))
        for key, value in own.items():
            if given.get(key) not in (None, value):
                raise ValueError(f"the {key} of {given['path']} is {value}")
        return given | own


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
        return from_names(listed)

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
