"""Jobs that evaluate a cell: answer, judge, measure; and who answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from playsafe.config import ModelConfig, TargetConfig
from playsafe.endpoint import Endpoint
from playsafe.errors import BadInput
from playsafe.evaluation import Begin
from playsafe.probes import ProbeSet
from playsafe.provenance import file_hash, model_hash, versions
from playsafe.records import Role
from playsafe.rundir import RunDir, read_object
from playsafe.study.arms import BASE, DONE, Cell, knows_model, source_of
from playsafe.study.resident import SCHEMA, Resident, alone
from playsafe.targets import InProcess, Recorded, Server, Target

if TYPE_CHECKING:  # an audit of recorded replies needs no model library
    from playsafe.models.loading import Aligned


class Exam(NamedTuple):
    """Everything that the three jobs of a cell share. basis: what the replies rest on besides the prompts and
    the run's identity. frozen: gives the aligned model for the voice."""

    run: RunDir
    label: str
    probes: list[ProbeSet]
    role: Role | None
    basis: Any
    frozen: Callable[[], Aligned] | None


def exam(resident: Resident, cell: Cell) -> Exam | None:
    """The exam of a cell; None where it is asked nothing."""
    role = resident.roles[cell.role] if cell.role is not None else None
    probes = _probes(resident, cell, role)
    if not probes:
        return None
    alone("evaluate")
    target = cell.arm.target
    generation = resident.config.evaluation.generation
    basis: Any = generation.model_dump(exclude=set() if generation.sampling == "model" else {"seed"})
    if target is not None and target.completions is not None:
        basis = file_hash(existing(target.completions))
    frozen = resident.aligned if knows_model(resident.config) else None
    return Exam(_run(resident, cell, role), cell.label, probes, role, basis, frozen)


def answer(resident: Resident, cell: Cell, begin: Begin) -> None:
    """Ask a cell everything."""
    if (found := exam(resident, cell)) is not None:
        run, label, probes, role, basis, _ = found
        make = lambda: target_of(resident, cell, role)  # noqa: E731
        resident.evaluator.answer(run, label, probes, make, role, basis, begin)


def judge(resident: Resident, cell: Cell, begin: Begin) -> None:
    """Every judge's verdicts on its replies."""
    if (found := exam(resident, cell)) is not None:
        resident.evaluator.judge(found.run, found.label, found.probes, found.basis, begin)


def measure(resident: Resident, cell: Cell, begin: Begin) -> None:
    """Its voices and estimates, and summary.json."""
    if (found := exam(resident, cell)) is not None:
        run, label, probes, role, basis, frozen = found
        about = _about(resident, cell, run, role)
        resident.evaluator.measure(run, label, probes, role, frozen, basis, about, begin)


def target_of(resident: Resident, cell: Cell, role: Role | None) -> Target:
    """Who answers for a cell."""
    if cell.arm.target is not None:
        return _somebody(resident, cell.arm.target)
    from playsafe import decoders
    from playsafe.study.weights import tuned_model

    aligned, config = resident.aligned(), resident.config.evaluation.generation
    if cell.arm.decode is None:
        model = aligned.model if cell.arm.key == BASE else tuned_model(resident, cell)
        return InProcess(model, aligned.renderer, config)
    decoder, options = decoders.get(cell.arm.decode.name), cell.arm.decode.parsed()
    source = source_of(cell, resident.arms)
    model = aligned.model if source is None else tuned_model(resident, source)
    contexts = decoder.contexts(role, options)
    return InProcess(
        model, aligned.renderer, config, contexts, lambda p, others: decoder.combine(p, others, options)
    )


def existing(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise BadInput("there is no such file or directory.", where=name, next="Check the target's path.")
    return path


def _probes(resident: Resident, cell: Cell, role: Role | None) -> list[ProbeSet]:
    """What a cell is asked. The aligned model is asked once for all roles what does not depend on them."""
    evaluator, turns = resident.evaluator, resident.config.evaluation.system
    base = cell.arm.key == BASE and cell.arm.target is None
    kept = tuple(turn for turn in turns if not base or (turn == "role") == (role is not None))
    common = resident.once(("common", kept), lambda: evaluator.common(kept))
    if role is None:
        return list(common)
    own = resident.once(("own", role.name), lambda: evaluator.own(role, resident.references(role)))
    return [*common, *own]


def _run(resident: Resident, cell: Cell, role: Role | None) -> RunDir:
    arm, references = cell.arm, resident.references(role)
    about: Any = None if role is None else [role.name, role.prompt, references.hash if references else None]
    if arm.target is not None:
        identity = {"schema": SCHEMA, "kind": "run", "target": _identity(resident, arm.target)}
    elif arm.decode is not None:
        source = source_of(cell, resident.arms)
        options = arm.decode.parsed().model_dump()
        from playsafe import decoders
        from playsafe.study.weights import weights_run

        how = [arm.decode.name, options, decoders.REGISTRY.code(arm.decode.name)]
        identity = {**resident.model_identity, "kind": "run", "decode": how}
        identity["from"] = BASE if source is None else weights_run(resident, source).digest
    elif arm.key == BASE:
        identity = {**resident.model_identity, "kind": "base"}
    else:
        from playsafe.study.weights import weights_run

        return weights_run(resident, cell)
    return resident.open(cell.place, {**identity, "role": about})


def _identity(resident: Resident, target: TargetConfig) -> dict[str, Any]:
    """What the target's replies rest on."""
    if target.endpoint is not None:
        return {"endpoint": {"base_url": target.endpoint.base_url, "model": target.endpoint.model}}
    if target.completions is not None:
        return {"completions": target.name}
    if target.model is not None:
        from playsafe.models.loading import placement

        return {"model": placement(_own_model(resident, target))}
    adapter = model_hash(existing(target.adapter)) if target.adapter is not None else None
    return {**resident.model_identity, "adapter": adapter}


def _somebody(resident: Resident, target: TargetConfig) -> Target:
    generation = resident.config.evaluation.generation
    if target.endpoint is not None:
        return Server(Endpoint(target.endpoint), generation)
    if target.completions is not None:
        return Recorded(existing(target.completions))
    if target.model is not None:
        from playsafe.models.loading import load_aligned

        other = load_aligned(_own_model(resident, target))
        return InProcess(other.model, other.renderer, generation)
    aligned = resident.aligned()
    for note in _notes(resident, target):
        resident.reporter.note(f"{target.name}: {note}")
    from playsafe.models.adapters import attach_adapter

    model = aligned.model if target.adapter is None else attach_adapter(aligned.model, Path(target.adapter))
    return InProcess(model, aligned.renderer, generation)


def _notes(resident: Resident, target: TargetConfig | None) -> list[str]:
    """What a target's adapter says of itself that is otherwise here."""
    if target is None or target.adapter is None:
        return []
    from playsafe.models.adapters import differences
    from playsafe.models.loading import resolve

    base = resolve(resident.config.model.name_or_path)
    return differences(existing(target.adapter), base, resident.aligned().tokenizer)


def _own_model(resident: Resident, target: TargetConfig) -> ModelConfig:
    """A target's own model; one that is only named is placed as the study's is."""
    if isinstance(target.model, ModelConfig):
        return target.model
    shared = {"device", "dtype", "attn_implementation", "trust_remote_code"}
    return ModelConfig(name_or_path=str(target.model), **resident.config.model.model_dump(include=shared))


def _about(resident: Resident, cell: Cell, run: RunDir, role: Role | None) -> dict[str, Any]:
    """What summary.json says of a run besides its numbers."""
    arm, model = cell.arm, resident.config.model.name_or_path
    about: dict[str, Any] = {
        "kind": "base" if arm.key == BASE else "run",
        "role": role.name if role else None,
        "tags": role.tags if role else (),
        "method": arm.key,
        "seed": cell.seed,
        "model": _described(arm.target, model) if arm.target is not None else model,
        "version": versions()["playsafe"],
        "notes": _notes(resident, arm.target),
    }
    source = source_of(cell, resident.arms)
    made = run.path if arm.decode is None or source is None else resident.root / source.place
    if (made / DONE).exists():
        training = read_object(made / DONE)
        about |= {"share": training.get("share"), "training": training}
        about["notes"] += training.get("notes") or []
    if arm.method is not None:
        about["options"] = arm.method.parsed().model_dump(by_alias=True)
    elif arm.edit is not None:
        about["options"] = {"from": arm.source, **arm.edit.parsed().model_dump()}
    elif arm.decode is not None:
        about["options"] = {"from": arm.source, **arm.decode.parsed().model_dump()}
    return about


def _described(target: TargetConfig, aligned: str) -> str:
    """Who answered, for people."""
    if target.endpoint is not None:
        return f"{target.endpoint.model} at {target.endpoint.base_url}"
    if target.adapter is not None:
        return f"{aligned} with {Path(target.adapter).name}"
    if isinstance(target.model, ModelConfig):
        return target.model.name_or_path
    return target.model or target.completions or aligned


DO = {"answer": answer, "judge": judge, "measure": measure}
