"""Jobs that make weights: scores of rows, training, edits of finished weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from playsafe import edits, methods, scorers
from playsafe.config import NOT_NUMBERS, ModelConfig
from playsafe.data.rows import Example
from playsafe.errors import BadInput
from playsafe.evaluation import Begin
from playsafe.methods import Method, Scored, loss_of
from playsafe.models.adapters import attach_adapter
from playsafe.models.loading import load_weights
from playsafe.records import Role, Subset
from playsafe.rundir import (
    RunDir,
    broken_seals,
    read_json,
    read_jsonl,
    read_object,
    seals,
    write_json,
    write_jsonl,
)
from playsafe.scorers import Work
from playsafe.streams import of_loss
from playsafe.streams.role import data, fitted
from playsafe.study.arms import DONE, Cell, scores_place, source_of
from playsafe.study.resident import Resident, alone
from playsafe.training import train as train_model

FEW = 20  # optimiser steps
FILES = ("scores.jsonl", "rows.jsonl")


def score(resident: Resident, scorer_name: str, role: Role, begin: Begin) -> dict[str, float]:
    """A scorer's number for each of a role's training rows, by id."""
    scorer, material = scorers.get(scorer_name), resident.material(role)
    rows = [(d, f) for d, f in fitted(material, role) if f.rendered is not None]
    run = _scores_run(resident, scorer_name, role)
    path = run / "scores.jsonl"
    if lost := run.broken():
        resident.reporter.note(f"{role.name}: {', '.join(lost)} changed since scoring; scored again")
        run.drop("summary.json", *FILES)
    if not run.finished:
        alone("score")
        begin()
        run.status("scoring", rows=len(rows))
        shown = [{"id": d.id, "user": d.messages[-1].content, "reply": d.reply} for d, _ in rows]
        write_jsonl(run / "rows.jsonl", shown)
        aligned = resident.aligned()
        with resident.reporter.task(f"score {role.name}", len(rows)) as advance:
            scorer.score(Work(aligned.model, aligned.renderer, role, rows, resident.config, path, advance))
        values = [scorer.value(line) for line in read_jsonl(path)]
        flagged = sum(value > resident.config.scoring.threshold for value in values)
        about = {"role": role.name, "kind": "scores", "scorer": scorer_name}
        run.finish({**about, "rows": len(values), "flagged": flagged}, FILES)
    return {line["id"]: scorer.value(line) for line in read_jsonl(path)}


def _scores_run(resident: Resident, scorer: str, role: Role) -> RunDir:
    """The run directory of a role's scores."""
    settings = resident.config.data
    identity = {
        "kind": "scores",
        "scorer": [scorer, scorers.REGISTRY.code(scorer)],
        "data": data(resident.material(role), role).hash,
        "prompts": [role.prompt, role.unsafe_prompt],
        "length": [settings.max_length, settings.overlong, resident.config.training.system],
    }
    return resident.open(scores_place(role.name, scorer), {**resident.model_identity, **identity})


def weights_run(resident: Resident, cell: Cell) -> RunDir:
    """The run directory of a cell whose weights are made here."""
    role = resident.roles[cell.role] if cell.role is not None else None
    config, material = resident.config, resident.material(role)
    identity: dict[str, Any] = {"kind": "run", "role": role.name if role is not None else None}
    if cell.arm.edit is not None:
        source = source_of(cell, resident.arms)
        assert source is not None, "the configuration refuses edits of the aligned model"
        options = cell.arm.edit.parsed().model_dump()
        how = [cell.arm.edit.name, options, edits.REGISTRY.code(cell.arm.edit.name)]
        identity |= {"from": weights_run(resident, source).digest, "edit": how}
    else:
        method, options = method_of(cell)
        assert cell.arm.method is not None, "an arm without an edit is trained"
        streams = of_loss(method, loss_of(method, options), f"methods.{cell.arm.key}")
        identity |= {
            "streams": {name: stream.identity(material) for name, stream in streams.items()},
            "method": [method.name, options.model_dump(), methods.REGISTRY.code(cell.arm.method.name)],
            "seed": cell.seed,
            "training": config.training.model_dump(exclude=NOT_NUMBERS),
            "length": [config.data.max_length, config.data.overlong],
        }
        if (scorer := method.scorer(options)) and role is not None:
            identity["selection"] = [_scores_run(resident, scorer, role).digest, config.scoring.threshold]
    return resident.open(cell.place, {**resident.model_identity, **identity})


def method_of(cell: Cell) -> tuple[Method, Any]:
    """The method of a trained cell and its options."""
    assert cell.arm.method is not None, "the cell is not trained"
    return methods.get(cell.arm.method.name), cell.arm.method.parsed()


def train(resident: Resident, cell: Cell, begin: Begin) -> None:
    """Train one cell; the run directory then holds training.json and the weights."""
    config, run = resident.config, weights_run(resident, cell)
    if (run / DONE).exists():
        refuse_changed(run.path)
        gaps = any(key.startswith("gap:") for line in read_jsonl(run / "train.jsonl") for key in line)
        if config.training.gap_steps and not gaps:
            resident.reporter.note(f"{cell.label} was trained before, without its reward gap being logged")
        return
    begin()
    method, options = method_of(cell)
    examples, about = _rows(resident, cell, run, method, options)
    run.status("training", rows=len(examples))
    role = resident.roles[cell.role] if cell.role is not None else None
    renderer = resident.aligned().renderer
    try:
        with resident.reporter.task(f"train {cell.label}", None) as advance:
            result = train_model(
                resident.aligned().model,
                method,
                options,
                examples,
                config.training,
                run.path,
                seed=cell.seed or 0,
                pad_id=resident.material(role).pad_id,
                end_of_turn=renderer.end_of_turn,
                second_model=lambda: load_weights(config.model),
                gaps=resident.gap_probe(role) if config.training.gap_steps else None,
                progress=lambda step, total: advance(1, total),
            )
    finally:
        if config.training.lora is None:
            resident.forget()  # trained in place
    if config.training.lora is None:
        renderer.tokenizer.save_pretrained(run / "model")  # so that the directory is a model of its own
    notes = _notes(method, about, result["steps"])
    for note in notes:
        resident.reporter.note(f"{cell.label}: {note}")
    _finish(run, {**result, **about, "notes": notes})


def _notes(method: Method, about: dict[str, Any], steps: int) -> list[str]:
    """What makes a training say less than it seems to."""
    found = []
    if steps < FEW:
        found.append(f"trained for {steps} optimiser steps alone; few of its losses have moved")
    if about["share"] == 0 and about["rule"] != "none":
        found.append(f"its rule chose no row, so that the terms of {method.name} on chosen rows did nothing")
    return found


def _rows(
    resident: Resident, cell: Cell, run: RunDir, method: Method, options: Any
) -> tuple[list[Example], dict[str, Any]]:
    """What a cell is trained on, stream by stream, and what training.json says of it."""
    role = resident.roles[cell.role] if cell.role is not None else None
    scorer = method.scorer(options)

    def select(ids: Sequence[str]) -> Subset:
        values = score(resident, scorer, role, lambda: None) if scorer and role is not None else {}
        scored = Scored(values, resident.config.scoring.threshold)
        subset = method.select(ids, scored, options, cell.seed or 0)
        chosen = {"rule": subset.rule, "threshold": subset.threshold, "share": subset.share}
        write_json(run / "subset.json", {**chosen, "ids": sorted(subset.ids)})
        return subset

    material, loss = resident.material(role, select), loss_of(method, options)
    examples: list[Example] = []
    about: dict[str, Any] = {"share": None, "rule": "none", "counts": {}}
    for name, stream in of_loss(method, loss, f"methods.{cell.arm.key}").items():
        made = stream.rows(material, loss.on(name), len(examples))
        examples += made.examples
        about |= made.about
    return examples, about


def edit(resident: Resident, cell: Cell, begin: Begin) -> None:
    """Weights made from another arm's, without training."""
    run, source = weights_run(resident, cell), source_of(cell, resident.arms)
    if (run / DONE).exists():
        refuse_changed(run.path)
        return
    assert source is not None, "the configuration refuses edits of the aligned model"
    assert cell.arm.edit is not None, "the cell is not edited"
    begin()
    run.status("editing")
    given = trained(resident, source)
    settings = read_json(given / "adapter_config.json") if (given / "adapter_config.json").exists() else None
    state = resident.aligned().model.state_dict() if settings is None else {}
    out = run / given.name
    shutil.copytree(given, out, dirs_exist_ok=True)
    options, change = cell.arm.edit.parsed(), edits.get(cell.arm.edit.name)
    files = {path: load_file(path) for path in sorted(given.glob("*.safetensors"))}
    tuned = {name: tensor for tensors in files.values() for name, tensor in tensors.items()}
    made = change.apply(edits.Weights(tuned, lambda name: state[name].cpu(), settings), options)
    for path, tensors in files.items():
        save_file({name: made[name].contiguous() for name in tensors}, out / path.name, {"format": "pt"})
    before = read_object(given.parent / DONE)
    about = {key: before.get(key) for key in ("share", "rule", "counts")}
    _finish(run, {"edit": cell.arm.edit.name, "from": source.place, **about})


def _finish(run: RunDir, about: dict[str, Any]) -> None:
    """training.json, with the hash of everything that was made."""
    made = [file for folder in ("adapter", "model") for file in sorted((run / folder).glob("*"))]
    names = [file.relative_to(run.path).as_posix() for file in made if file.is_file()]
    write_json(run / DONE, {**about, "files": seals(run.path, [*names, "subset.json", "train.jsonl"])})


def refuse_changed(place: Path) -> None:
    """BadInput where finished weights are not as training left them."""
    if changed := broken_seals(place, read_object(place / DONE).get("files")):
        raise BadInput(
            f"changed since it was trained: {', '.join(changed[:3])}.",
            where=str(place),
            next=f"Bring the files back, or delete {DONE} to train again.",
        )


def trained(resident: Resident, cell: Cell) -> Path:
    """Directory of a cell's finished weights; BadInput where they are not made yet."""
    run = resident.root / cell.place
    if not (run / DONE).exists():
        raise BadInput(
            f"{cell.label} is not trained yet.", where=str(run), next="Run `playsafe run STUDY.yaml`."
        )
    refuse_changed(run)
    return run / ("adapter" if (run / "adapter").exists() else "model")


def tuned_model(resident: Resident, cell: Cell) -> Any:
    """What was trained: its adapter on the resident model, or a model of its own."""
    place = trained(resident, cell)
    if place.name == "adapter":
        return attach_adapter(resident.aligned().model, place)
    placement = resident.config.model.model_dump(  # in the dtype that it was saved in
        include={"device", "attn_implementation", "trust_remote_code"}
    )
    return load_weights(ModelConfig(name_or_path=str(place.resolve()), **placement))
