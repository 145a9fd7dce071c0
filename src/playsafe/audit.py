"""Evaluating somebody who was not trained here: adapters, models, servers, files of replies.

    <output_dir>/base/  <output_dir>/<role>/base/      the aligned model, for the differences
    <output_dir>/<role>/<target>/                      one target as one role ("no_role" without one)

All targets are asked the same prompts and judged by the same judges. Adapters share one resident model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playsafe import sources
from playsafe.bench import SCHEMA, Bench, place
from playsafe.config import ModelConfig, StudyConfig, TargetConfig
from playsafe.data.roles import find_role
from playsafe.endpoint import Endpoint
from playsafe.errors import BadInput
from playsafe.models.loading import attach_adapter, load_aligned
from playsafe.progress import Reporter, Silent
from playsafe.provenance import environment, file_hash, model_hash, named_hash
from playsafe.records import Role
from playsafe.rundir import RunDir, slug, write_json
from playsafe.sources import PromptSet
from playsafe.targets import Recorded, Server, Target
from playsafe.uses import check_options


class Audit:
    """The targets of a study, each evaluated as the role it names or as none."""

    def __init__(self, config: StudyConfig, reporter: Reporter | None = None) -> None:
        if not config.targets:
            raise BadInput(
                "there is no target to evaluate.",
                where="targets",
                next="Name one: --adapter NAME=DIR, --endpoint URL or --completions FILE.",
            )
        self.config, self.reporter = config, reporter or Silent()
        self.root = Path(config.output_dir)
        check_options(config)
        named = next((target for target in config.targets if target.role), None)
        if named is not None and config.roles is None:
            raise BadInput(
                "the study has no roles.",
                where=f"targets.{named.name}",
                next="Set roles, or leave the role out.",
            )
        known = sources.roles(config.roles) if named is not None and config.roles is not None else []
        self.roles = {t.role: find_role(known, t.role) for t in config.targets if t.role is not None}
        if "role" in config.evaluation.system and len(self.roles) < len({t.role for t in config.targets}):
            raise BadInput(
                "a target without a role cannot be asked under its role prompt.",
                where="evaluation.system",
                next="Name the target's role, or ask with system none or empty.",
            )
        places = [(slug(t.role) if t.role else "", slug(t.name)) for t in config.targets]
        if len(set(places)) < len(places):
            raise BadInput(
                "two targets would share a directory.", where="targets", next="Rename one of them."
            )
        for target in config.targets:  # before the first long computation
            _check_source(target, len(config.evaluation.system))
        self.bench = Bench(config, known, self.reporter)

    def run(self) -> None:
        """Base first, then every target; repeating the call goes on where it stopped."""
        RunDir(self.root, {"schema": SCHEMA, "kind": "audit"})
        write_json(self.root / "study.json", self.config.model_dump())
        write_json(self.root / "provenance.json", environment())
        given = {target.role for target in self.config.targets if target.name == "base"}
        for role in (None, *self.roles.values()) if self._knows_model() else ():
            if (role.name if role else None) not in given:
                self.bench.base(role, self._references(role) if role else None)
        for target in self.config.targets:
            self._evaluate(target)

    def _evaluate(self, config: TargetConfig) -> None:
        role = self.roles[config.role] if config.role is not None else None
        references = self._references(role) if role else None
        probes = self.bench.evaluator.common()
        if role is not None:
            probes += self.bench.evaluator.own(role, references)
        identity: dict[str, Any] = {"schema": SCHEMA, "kind": "run", "target": self._identity(config)}
        identity["role"] = None if role is None else [role.name, role.prompt]
        if references is not None:
            identity["role"].append(references.hash)
        is_base = config.name == "base"
        run = self.bench.open(self.root / place(role) / ("base" if is_base else slug(config.name)), identity)
        self.bench.finish(
            run,
            f"{config.name} · {role.name}" if role else config.name,
            probes,
            lambda: self._target(config),
            role,
            method=config.name,
            voice=self._knows_model(),
            basis=file_hash(_existing(config.completions)) if config.completions is not None else None,
            model=_described(config, self.config.model.name_or_path),
        )

    def _identity(self, config: TargetConfig) -> dict[str, Any]:
        """What the target's replies rest on."""
        if config.endpoint is not None:
            return {"endpoint": {"base_url": config.endpoint.base_url, "model": config.endpoint.model}}
        if config.completions is not None:
            return {"completions": config.name}
        if config.model is not None:
            return {"model": named_hash(config.model)}
        adapter = model_hash(_existing(config.adapter)) if config.adapter is not None else None
        return {**self.bench.model_identity, "adapter": adapter}

    def _target(self, config: TargetConfig) -> Target:
        if config.endpoint is not None:
            return Server(Endpoint(config.endpoint), self.config.evaluation.generation)
        if config.completions is not None:
            return Recorded(_existing(config.completions))
        if config.model is not None:
            placed = {"device": self.config.model.device, "dtype": self.config.model.dtype}
            other = load_aligned(ModelConfig(name_or_path=config.model, **placed))
            return self.bench.in_process(other.model, other.renderer)
        model = self.bench.aligned.model
        return self.bench.in_process(
            model if config.adapter is None else attach_adapter(model, Path(config.adapter))
        )

    def _references(self, role: Role) -> PromptSet | None:
        """The role's held-out rows where the study names rows, or the embedded world knows the role."""
        named = "data" in self.config.model_fields_set
        roles = self.config.roles
        embedded = self.config.data.path == "tiny" and roles is not None and roles.path.startswith("tiny")
        return self.bench.references(role) if named or embedded else None

    def _knows_model(self) -> bool:
        """Whether the study names the aligned model: what an adapter rests on, and what measures voice."""
        rests_on_it = any(not (t.model or t.endpoint or t.completions) for t in self.config.targets)
        return rests_on_it or "model" in self.config.model_fields_set


def _described(config: TargetConfig, aligned: str) -> str:
    """Who answered, for people."""
    if config.endpoint is not None:
        return f"{config.endpoint.model} at {config.endpoint.base_url}"
    if config.adapter is not None:
        return f"{aligned} with {Path(config.adapter).name}"
    return config.model or config.completions or aligned


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise BadInput("there is no such file or directory.", where=name, next="Check the target's path.")
    return path


def _check_source(target: TargetConfig, turns: int) -> None:
    """Refuse files and directories that cannot answer."""
    where = f"targets.{target.name}"
    if target.adapter is not None and not _existing(target.adapter).is_dir():
        raise BadInput(
            f"{target.adapter} is no directory.", where=where, next="Give the adapter's directory."
        )
    if target.completions is not None:
        if not _existing(target.completions).is_file():
            raise BadInput(f"{target.completions} is no file.", where=where, next="Give the file of replies.")
        if turns > 1:
            raise BadInput(
                "recorded replies answer under one system turn, the study asks under several.",
                where=where,
                next="Set evaluation.system to the turn that was used.",
            )
        Recorded(Path(target.completions))


def parse_targets(
    adapters: Sequence[str], completions: Sequence[str], endpoint: str | None, model: str | None
) -> list[dict[str, Any]]:
    """Targets from the command line: NAME=PATH or NAME@ROLE=PATH; a server is named "endpoint"."""
    found: list[dict[str, Any]] = []
    for option, listed in (("adapter", adapters), ("completions", completions)):
        for text in listed:
            who, sign, path = text.partition("=")
            name, _, role = who.partition("@")
            if not sign or not name or not path:
                raise BadInput(
                    f"--{option} {text!r} is not of the form NAME=PATH.", allowed="NAME=PATH, NAME@ROLE=PATH"
                )
            found.append({"name": name, option: path, "role": role or None})
    if (endpoint is None) != (model is None):
        raise BadInput("--endpoint and --endpoint-model go together.", next="Give both.")
    if endpoint is not None:
        found.append({"name": "endpoint", "endpoint": {"base_url": endpoint, "model": model}})
    return found
