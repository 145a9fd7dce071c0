"""The part of a study that evaluates: suites, attacks, judges, decoding, voice, and who is asked."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from playsafe.config.training import BY_NAME, ModelConfig, Named, SystemTurns, distinct
from playsafe.matters import ROLES, Matters
from playsafe.registry import Registry
from playsafe.settings import Section

SuiteKind = Literal["harmful", "benign", "dark", "references", "task", "pairs"]


class AttackConfig(Named):
    """One jailbreak, asked on top of the plain harmful suites (or of the suites named here)."""

    registry = Registry("playsafe.attacks", "ATTACK", "attack", "evaluation.attacks")
    label: str = Field("", pattern=r"^(\w[\w.-]*)?$", max_length=60)
    suites: list[str] | None = None


class JudgeConfig(Named):
    """One judge; several judge the same replies side by side."""

    registry = Registry("playsafe.judges", "JUDGE", "judge", "evaluation.judges")
    label: str = Field(
        "", pattern=r"^(\w[\w-]*)?$", max_length=60, description="no dot: it ends a file's name"
    )


def _address(given: str) -> str:
    """An http address without credentials: it is stored and shown."""
    parts = urlsplit(given)
    if parts.username or parts.password or parts.query or parts.fragment:
        told = "the address holds credentials; name the variable that holds the key in api_key_env"
        raise PydanticCustomError("secret", told)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the address begins with http:// or https:// and names a host")
    _ = parts.port  # refuses one out of range
    return given


def _variable(given: str | None) -> str | None:
    """The name of a variable, never a key: those are not shown, not even here."""
    if given is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", given):
        told = "it names an environment variable in capitals, such as MY_SERVER_KEY; keys are written nowhere"
        raise PydanticCustomError("secret", told)
    return given


class EndpointConfig(Section):
    """An OpenAI-compatible server. The key is read from an environment variable and stored nowhere."""

    base_url: Annotated[str, AfterValidator(_address)] = Field(
        description="for example http://127.0.0.1:8000/v1"
    )
    model: str = Field(min_length=1)
    api_key_env: Annotated[str | None, AfterValidator(_variable)] = Field(
        None, description="variable with this server's key; OPENAI_API_KEY is read for api.openai.com alone"
    )
    plain_http: bool = Field(False, description="send the key over plain http to another machine")
    concurrency: int = Field(8, ge=1)
    retries: int = Field(4, ge=0)
    timeout: float = Field(120.0, gt=0, description="seconds a request may take")
    max_requests: int | None = Field(None, ge=1, description="budget of one run of the command")


class TargetConfig(Section):
    """Somebody to evaluate who was not trained here: exactly one of the four sources.

    name: a label; "base" takes the place of the aligned model in every comparison. role: who it plays.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$", max_length=200)
    adapter: str | None = Field(None, description="LoRA adapter on the study's model")
    model: str | ModelConfig | None = Field(
        None, description="a directory or hub id, placed as the study's model is; or a section like `model`"
    )
    endpoint: EndpointConfig | None = None
    completions: str | None = Field(None, description="file of replies that are there already")
    role: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> TargetConfig:
        given = [name for name in ("adapter", "model", "endpoint", "completions") if getattr(self, name)]
        if len(given) > 1 or (not given and self.name != "base"):
            raise ValueError(f"a target has one of adapter, model, endpoint, completions; given: {given}")
        return self


COLUMNS = Matters(lambda own, uses: own.kind != "pairs", "columns to choose from, which pairs have not")
DRAWN = Matters(lambda own, uses: own.limit is not None, "a limit")


class SuiteConfig(Section):
    """One set of evaluation prompts. kind: what a good answer is.

    A known suite (`playsafe suites`) needs its name alone; other prompts need a path and a kind. "task" has a
    right answer to each prompt, "pairs" a safe and an unsafe reply whose likelihoods are compared.
    """

    name: str = Field(
        pattern=r"^\w[\w.-]*$", max_length=80, description="letters, digits, dot, dash; names files"
    )
    suite: str | None = Field(None, description="a known suite, where `name` is a label of yours")
    kind: SuiteKind | None = None
    path: str | None = Field(
        None, description="'tiny:harmful' and the like, a CSV/JSON/JSONL file; a known suite's file or folder"
    )
    column: Annotated[str | None, COLUMNS] = None
    subset: Annotated[str | None, COLUMNS] = Field(
        None, min_length=1, description="'column=value', 'column!=value', 'column^=prefix', 'column!^=prefix'"
    )
    language: str | None = Field(None, description="of its prompts; chooses one where there are several")
    limit: int | None = Field(None, ge=1)
    seed: Annotated[int | None, COLUMNS, DRAWN] = Field(None, ge=0, lt=2**32)

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


SAMPLED = Matters(lambda own, uses: own.sampling == "model", "`sampling: model`")


class GenerationConfig(Section):
    """Decoding. `sampling: model` uses the model's own generation settings, as the paper does."""

    sampling: Literal["greedy", "model"] = "greedy"
    max_new_tokens: int = Field(128, ge=1)
    batch_size: int = Field(32, ge=1)
    seed: Annotated[int, SAMPLED] = Field(0, ge=0, lt=2**32)


COMPARED = Matters(
    lambda own, uses: not own.attribution or (own.measure and uses.roles > 1),
    "two roles and voice that is measured",
)


class VoiceConfig(Section):
    """Persona consistency under the frozen base: role log-likelihood ratio, closed-set attribution."""

    measure: bool = True
    attribution: Annotated[int, COMPARED] = Field(0, ge=0, description="of so many replies a suite")


NAMES = distinct("names must differ, and none may be 'references'", lambda one: one.name, "references")
LABELS = distinct("two of one name need different labels", lambda one: one.key)
KNOWN = Matters(lambda own, uses: uses.known, "a known suite")
AIMED = Matters(
    lambda own, uses: "harmful" in uses.kinds or all(a.suites for a in own.attacks), "a harmful suite"
)
JUDGED = Matters(lambda own, uses: uses.kinds & {"harmful", "benign", "dark"}, "a suite that is judged")
ANSWERED = Matters(lambda own, uses: uses.roles or uses.kinds - {"pairs"}, "prompts that are answered")
GATED = Matters(lambda own, uses: own.gates, "gates")


class EvaluationConfig(Section):
    """What is asked and how it is judged."""

    data_dir: Annotated[str | None, KNOWN] = Field(None, description="where known suites lie, at any depth")
    hub: Annotated[bool, KNOWN] = Field(False, description="fetch known suites that lie nowhere from the hub")
    suites: Annotated[list[SuiteConfig], BY_NAME, NAMES] = Field(
        default_factory=lambda: [SuiteConfig(name=k, path=f"tiny:{k}") for k in ("harmful", "benign")]
    )
    attacks: Annotated[list[AttackConfig], BY_NAME, LABELS, AIMED] = Field(default_factory=list)
    system: SystemTurns = Field(["none"], min_length=1)
    judges: Annotated[list[JudgeConfig], BY_NAME, LABELS, JUDGED] = Field(
        [JudgeConfig(name="rules")], min_length=1
    )
    generation: Annotated[GenerationConfig, ANSWERED] = Field(default_factory=GenerationConfig)
    voice: Annotated[VoiceConfig, ROLES] = Field(default_factory=VoiceConfig)
    gates: list[str] = Field(default_factory=list, description="for example 'refusal >= 0.95'")
    show: list[str] = Field(["refusal", "over_refusal", "rouge_l"], description="measures shown first")
    stop_early: Annotated[bool, GATED] = Field(False, description="stop a suite once every gate is decided")
