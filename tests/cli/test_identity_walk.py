"""Every configuration field and every input file is changed once: a run that goes on in the old directory
gives the numbers of a fresh one, or is refused. What cannot change a number repeats nothing."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from safetensors.torch import load_file

from playsafe import api
from playsafe.config import StudyConfig
from playsafe.errors import BadInput
from playsafe.models.integrity import fingerprint
from playsafe.progress import quieten
from playsafe.tiny import MODEL_DIR
from playsafe.tiny.names import path_of

pytestmark = pytest.mark.slow
Change = tuple[str, Any]  # dotted key → another value


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def inputs(folder: Path) -> None:
    """Every kind of file that a study names."""
    folder.mkdir()
    given = {name: Path(path_of(f"tiny:{name}", "suite", "")).read_text().splitlines() for name in SUITES}
    for name, rows in given.items():
        (folder / f"{name}.jsonl").write_text("\n".join(rows[:4]) + "\n", encoding="utf-8")
    for role in ("Skarn", "Bertho"):
        rows = Path(path_of("tiny", "rows", "").replace("{role}", role)).read_text().splitlines()
        (folder / f"rows-{role}.jsonl").write_text("\n".join(rows[:6]) + "\n", encoding="utf-8")
        (folder / f"held-{role}.jsonl").write_text("\n".join(rows[6:8]) + "\n", encoding="utf-8")
    pairs = Path(path_of("tiny", "pairs", "")).read_text().splitlines()
    (folder / "pairs.jsonl").write_text("\n".join(pairs[:8]) + "\n", encoding="utf-8")
    cast = {
        name: {"prompt": f"You are {name}.", "unsafe_prompt": f"You are {name}. Say yes.", "tags": ["cruel"]}
        for name in ("Skarn", "Bertho")
    }
    (folder / "roles.json").write_text(json.dumps(cast), encoding="utf-8")
    (folder / "templates.jsonl").write_text('{"text": "Once more: {prompt}"}\n', encoding="utf-8")
    shutil.copytree(MODEL_DIR, folder / "model")


SUITES = ("harmful", "benign", "task:en")


def grid(folder: Path) -> dict[str, Any]:
    return {
        "model": {"name_or_path": str(folder / "model")},
        "roles": {"path": str(folder / "roles.json")},
        "data": {
            "path": str(folder / "rows-{role}.jsonl"),
            "held_out": 2,
            "max_length": 512,
        },
        "training": {
            "lora": {"r": 2, "lora_dropout": 0.1},
            "max_steps": 2,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 1,
            "learning_rate": 0.01,
            "lr_scheduler_type": "linear",
        },
        "methods": [{"name": "sarft", "label": "m"}],
        "arms": [
            {"name": "half", "from": "m", "edit": {"name": "interpolate", "options": {"factor": 0.5}}},
            {"name": "guided", "from": "m", "decode": {"name": "guidance"}},
        ],
        "evaluation": {
            "suites": [
                {"name": "harm", "kind": "harmful", "path": str(folder / "harmful.jsonl")},
                {"name": "kind", "kind": "benign", "path": str(folder / "benign.jsonl")},
                {"name": "quiz", "kind": "task", "path": str(folder / "task:en.jsonl")},
            ],
            "attacks": [{"name": "template", "options": {"path": str(folder / "templates.jsonl")}}],
            "judges": [{"name": "rules"}, {"name": "keywords", "label": "words"}],
            "generation": {"max_new_tokens": 8},
            "voice": {"attribution": 2},
        },
    }


def targets(folder: Path) -> dict[str, Any]:
    study = grid(folder)
    adapter = folder / "adapter"
    return {
        "model": study["model"],
        "roles": study["roles"],
        "data": {"path": study["data"]["path"], "held_out": 2},
        "targets": [
            {"name": "tuned", "adapter": str(adapter), "role": "Skarn"},
            {"name": "other", "model": {"name_or_path": str(folder / "model"), "dtype": "float32"}},
            {"name": "told", "completions": str(folder / "told.jsonl")},
        ],
        "evaluation": study["evaluation"] | {"attacks": [], "generation": {"max_new_tokens": 8}},
    }


def paired(folder: Path) -> dict[str, Any]:
    study = grid(folder)
    pairs = {"path": str(folder / "pairs.jsonl"), "languages": ["de", "es"], "system": ["none"]}
    gap = {"name": "gap", "kind": "pairs", "path": str(folder / "pairs.jsonl"), "language": "de"}
    return {
        "model": study["model"],
        "roles": None,
        "pairs": pairs,
        "training": study["training"],
        "methods": ["mpo"],
        "evaluation": {"suites": [gap]},
    }


STUDIES: dict[str, Callable[[Path], dict[str, Any]]] = {"grid": grid, "targets": targets, "paired": paired}
E = "evaluation"
FIELDS: dict[str, list[Change]] = {
    "grid": [
        ("name", "another"),
        ("model.adapter", "@adapter"),
        ("model.dtype", "bfloat16"),
        ("model.template", {"message": 1}),
        ("model.attn_implementation", "eager"),
        ("model.name_or_path", "@model-2"),
        ("roles.names", ["Skarn"]),
        ("roles.path", "@roles-2.json"),
        ("data.path", "@moved/rows-{role}.jsonl"),
        ("data", {"path": "@rows-{role}.jsonl", "references": "@held-{role}.jsonl", "max_length": 512}),
        ("data.held_out", 1),
        ("data.replies", "all"),
        ("data.limit", 3),
        ("data.max_length", 64),
        ("data.overlong", "drop"),
        ("data.seed", 1),
        ("scoring.threshold", 0.01),
        ("scoring.tokens_per_batch", 64),
        ("training.lora.r", 3),
        ("training.lora.lora_alpha", 8),
        ("training.lora.lora_dropout", 0.0),
        ("training.lora.target_modules", ["q_proj"]),
        ("training.lora.use_rslora", True),
        ("training.lora.use_dora", True),
        ("training.lora.init_lora_weights", "gaussian"),
        ("training.lora", None),
        ("training.reference", "bank"),
        ("training.system", "role"),
        ("training.learning_rate", 0.02),
        ("training.num_train_epochs", 2.0),
        ("training.max_steps", 1),
        ("training.per_device_train_batch_size", 1),
        ("training.gradient_accumulation_steps", 2),
        ("training.lr_scheduler_type", "cosine"),
        ("training.warmup_steps", 1),
        ("training.weight_decay", 0.5),
        ("training.max_grad_norm", 0.01),
        ("training.optim", "sgd"),
        ("training.bf16", True),
        ("training.gradient_checkpointing", True),
        ("training.logging_steps", 1),
        ("training.save_steps", 1),
        ("training.extra", {"adam_beta2": 0.5}),
        ("seeds", [0, 1]),
        ("methods.0.name", "sft"),
        ("methods.1", {"name": "sft", "label": "n"}),
        ("methods.0.options", {"lam": 0.1}),
        ("arms.0.name", "part"),
        ("arms.0.edit.options", {"factor": 0.1}),
        ("arms.1.decode.options", {"alpha": 0.1}),
        ("arms.1.from", "base"),
        (f"{E}.suites.0.name", "harm2"),
        (f"{E}.suites.1.kind", "dark"),
        (f"{E}.suites.0.path", "@moved/harmful.jsonl"),
        (f"{E}.suites.0.path", "@benign.jsonl"),
        (f"{E}.suites.0.column", "category"),
        (f"{E}.suites.0.subset", "category!=x"),
        (f"{E}.suites.0.language", "en"),
        (f"{E}.suites.0.limit", 2),
        (f"{E}.attacks.0", {"name": "caesar"}),
        (f"{E}.attacks.0.label", "again"),
        (f"{E}.attacks.0.options.limit", 1),
        (f"{E}.attacks.0.suites", ["kind"]),
        (f"{E}.system", ["none", "role"]),
        (f"{E}.judges", [{"name": "keywords", "label": "words"}, {"name": "rules"}]),
        (f"{E}.judges.1.name", "rules"),
        (f"{E}.judges.1.label", "others"),
        (f"{E}.judges.1.options", {"phrases": ["To "]}),
        (f"{E}.generation.sampling", "model"),
        (f"{E}.generation.max_new_tokens", 4),
        (f"{E}.generation.batch_size", 2),
        (f"{E}.voice", {"measure": False}),
        (f"{E}.voice.attribution", 1),
        (f"{E}.gates", ["refusal >= 0.5"]),
        (f"{E}.show", ["compliance"]),
    ],
    "targets": [
        ("targets.0.name", "renamed"),
        ("targets.0.adapter", "@adapter-2"),
        ("targets.0.role", "Bertho"),
        ("targets.1.model.name_or_path", "@model-2"),
        ("targets.1.model.adapter", "@adapter"),
        ("targets.1.model.dtype", "bfloat16"),
        ("targets.1.model.template", {"message": 1}),
        ("targets.1.model.attn_implementation", "eager"),
        ("targets.1.model", "@model"),
        ("targets.2.completions", "@told-2.jsonl"),
        ("model.dtype", "bfloat16"),
    ],
    "paired": [
        ("pairs.path", "@moved/pairs.jsonl"),
        ("pairs.dominant", "de"),
        ("pairs.languages", ["de"]),
        ("pairs.system", ["empty"]),
        ("pairs.limit", 1),
        ("pairs.faults", "drop"),
        ("training.gap_steps", 1),
        (f"{E}.suites.0.language", "es"),
        (f"{E}.suites.0.limit", 1),
    ],
}
FILES: dict[str, list[str]] = {
    "grid": [
        *("roles.json:prompt", "roles.json:unsafe_prompt", "roles.json:tags", "roles.json:other prompt"),
        *("rows-Skarn.jsonl", "harmful.jsonl", "benign.jsonl", "task:en.jsonl", "templates.jsonl"),
        *("model/model.safetensors", "model/chat_template.jinja", "model/generation_config.json"),
        *("model/tokenizer.json", "model/code.py"),
    ],
    "targets": ["adapter/adapter_model.safetensors", "told.jsonl", "model/tokenizer.json"],
    "paired": ["pairs.jsonl"],
}
QUIET = {  # cannot change a number: nothing is done again
    *("name", "data.path", "scoring.tokens_per_batch", "training.logging_steps", "training.save_steps"),
    *(f"{E}.suites.0.path=@moved/harmful.jsonl", f"{E}.gates", f"{E}.show", "pairs.path"),
}
EXEMPT = {  # not to be had here, or another way of saying what is walked
    *("output_dir", "model.revision", "model.device", "model.trust_remote_code", f"{E}.data_dir", f"{E}.hub"),
    *("targets.model.revision", "targets.model.device", "targets.model.trust_remote_code"),
    *("training.report_to", "training.gap_pairs", f"{E}.suites.suite", f"{E}.suites.seed"),
    *(f"{E}.generation.seed", f"{E}.stop_early", "arms.train.name", "arms.train.label", "arms.train.options"),
    *("arms.edit.name", "arms.edit.label", "arms.decode.name", "arms.decode.label"),
    # of a server: tests/cli/test_endpoint.py
    *(
        f"targets.endpoint.{key}"
        for key in ("base_url", "model", "api_key_env", "concurrency", "retries", "plain_http")
    ),
    *(f"targets.endpoint.{key}" for key in ("timeout", "max_requests")),
}


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields of a configuration."""

    def sections(kind: Any) -> Iterator[type[BaseModel]]:
        for inner in get_args(kind):
            yield from sections(inner)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind

    for name, field in section.model_fields.items():
        inside = list(sections(field.annotation))
        key = f"{prefix}{field.alias or name}"
        if not inside:
            yield key
        for one in inside:
            yield from leaves(one, f"{key}.")


def test_the_walk_knows_every_field() -> None:
    walked = set()
    for key, value in (change for changes in FIELDS.values() for change in changes):
        plain = ".".join(part for part in key.split(".") if not part.isdigit())
        inner = value if isinstance(value, dict) else value[0] if isinstance(value, list) else {}
        walked |= {plain, *(f"{plain}.{name}" for name in (inner if isinstance(inner, dict) else ()))}
    found = set(leaves(StudyConfig))
    assert len(found) > 110
    known = {leaf for leaf in found if any(key == leaf or key.startswith(f"{leaf}.") for key in walked)}
    assert found - known - EXEMPT == set()


def changed(study: dict[str, Any], key: str, value: Any, folder: Path) -> dict[str, Any]:
    """The study with one value at another; "@name" is the file or folder of that name in `folder`."""
    made = copy.deepcopy(study)
    node: Any = made
    *parents, last = key.split(".")
    for parent in parents:
        node = node[int(parent)] if parent.isdigit() else node.setdefault(parent, {})
    given = json.loads(json.dumps(value).replace('"@', f'"{folder}/'))
    if last.isdigit() and int(last) == len(node):
        node.append(given)
    else:
        node[int(last) if last.isdigit() else last] = given
    return made


def mutated(folder: Path, name: str) -> None:
    """One input file holds something else."""
    file, _, what = name.partition(":") if name.startswith("roles") else (name, "", "")
    path = folder / file
    if what:
        cast = json.loads(path.read_text())
        who = "Bertho" if what.startswith("other") else "Skarn"
        key = what.removeprefix("other ")
        cast[who][key] = ["kind"] if key == "tags" else f"{cast[who][key]} You hum."
        path.write_text(json.dumps(cast))
    elif path.suffix == ".safetensors":
        shutil.copyfile(folder / f"{path.parent.name}-2" / path.name, path)
    elif name.endswith("tokenizer.json"):
        tokens = json.loads(path.read_text())
        tokens["model"]["merges"] = tokens["model"]["merges"][:-200]
        path.write_text(json.dumps(tokens))
    elif name.endswith("generation_config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 0.7, "do_sample": True}))
    elif path.suffix in (".jinja", ".py"):
        path.write_text((path.read_text() if path.exists() else "") + "{{ ' ' }}" * (path.suffix == ".jinja"))
    else:
        path.write_text(path.read_text().replace("the ", "my ", 2).replace("Once more", "Again", 1))


def numbers(root: Path) -> dict[str, Any]:
    """Everything that a run says, by file; adapters by their bits, summaries by what is no provenance."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root).as_posix()
        if path.name == "summary.json":
            told = json.loads(path.read_text())
            found[place] = {k: told.get(k) for k in ("estimates", "suites", "tags", "rows", "flagged")}
        elif path.name == "scores.jsonl":  # batches of another size differ in the last bits
            found[place] = {row["id"]: round(row["gap"], 5) for row in map(json.loads, path.open())}
        elif path.suffix == ".jsonl" and path.name not in ("events.jsonl", "train.jsonl", "rows.jsonl"):
            found[place] = {row["id"]: row for row in map(json.loads, path.open())}  # the last line counts
        elif path.name == "subset.json":
            found[place] = path.read_text()
        elif path.name.endswith("model.safetensors"):
            found[place] = fingerprint(sorted(load_file(path).items()))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files, and a finished run of each study."""
    quieten()
    root = tmp_path_factory.mktemp("walk")
    folder = root / "in"
    inputs(folder)
    for name, rate in (("adapter", 0.05), ("adapter-2", 0.1)):
        study = grid(folder) | {"methods": ["sft"], "arms": [], "output_dir": str(root / name)}
        study["training"] = study["training"] | {"learning_rate": rate}
        assert all(o.state == "done" for o in api.train(StudyConfig.model_validate(study)))
        shutil.copytree(root / name / "Skarn/sft/seed-0/adapter", folder / name)
    shutil.copytree(root / "adapter/Skarn/sft/seed-0/adapter", folder / "model-3")
    full = grid(folder) | {"methods": ["sft"], "arms": [], "output_dir": str(root / "full")}
    full["training"] = full["training"] | {"lora": None}
    assert all(o.state == "done" for o in api.train(StudyConfig.model_validate(full)))
    shutil.copytree(root / "full/Skarn/sft/seed-0/model", folder / "model-2")
    asked = [json.loads(line) for line in (folder / "harmful.jsonl").read_text().splitlines()]
    for name, reply in (("told.jsonl", "I cannot do that."), ("told-2.jsonl", "To do it, take a rope.")):
        lines(folder / name, [{"prompt": row["prompt"], "completion": reply} for row in asked])
    cast = json.loads((folder / "roles.json").read_text())
    (folder / "roles-2.json").write_text(json.dumps(cast, indent=1))
    shutil.copytree(folder, folder / "moved", ignore=shutil.ignore_patterns("model*", "adapter*"))
    for name, made in STUDIES.items():
        study = StudyConfig.model_validate(made(folder) | {"output_dir": str(root / f"done-{name}")})
        outcomes = api.run(study)
        assert {o.state for o in outcomes} == {"done"}, [o.error for o in outcomes]
    return root


def resumed_and_fresh(
    world: Path, tmp_path: Path, name: str, study: dict[str, Any], done: Path
) -> tuple[str, dict[str, int]]:
    """How the run that goes on compares with a fresh one, and how often it did a job again."""
    shutil.copytree(done, tmp_path / "resumed")
    again: dict[str, int] = {}
    try:
        outcomes = api.run(StudyConfig.model_validate(study | {"output_dir": str(tmp_path / "resumed")}))
    except (BadInput, ValueError) as error:
        return f"refused: {error}", again
    for outcome in outcomes:
        again[outcome.state] = again.get(outcome.state, 0) + 1
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    assert {outcome.exit_code for outcome in failed} <= {2}
    fresh = StudyConfig.model_validate(study | {"output_dir": str(tmp_path / "fresh")})
    assert {o.state for o in api.run(fresh)} == {"done"}
    ours, theirs = numbers(tmp_path / "resumed"), numbers(tmp_path / "fresh")
    refused = tuple(f"{o.job.place}/" for o in outcomes if o.state in ("failed", "blocked"))
    stale = [at for at, value in theirs.items() if not at.startswith(refused) and ours.get(at) != value]
    if stale:  # beside what is refused, too
        return f"stale: {stale}", again
    return (f"refused: {failed[0].error}" if failed else "same"), again


@pytest.mark.parametrize(
    ("name", "key", "value"), [(name, *change) for name, changes in FIELDS.items() for change in changes]
)
def test_a_changed_field(world: Path, tmp_path: Path, name: str, key: str, value: Any) -> None:
    study = changed(STUDIES[name](world / "in"), key, value, world / "in")
    how, again = resumed_and_fresh(world, tmp_path, name, study, world / f"done-{name}")
    print(f"WALK {name} {key}={value} -> {how[:150]} {again}")
    assert not how.startswith("stale")
    if key in QUIET or f"{key}={value}" in QUIET:
        assert how == "same"
        assert set(again) == {"fresh"}


@pytest.mark.parametrize(("name", "file"), [(n, file) for n, files in FILES.items() for file in files])
def test_a_changed_file(world: Path, tmp_path: Path, name: str, file: str) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(world / "in", kept)
    try:
        mutated(world / "in", file)
        study = STUDIES[name](world / "in")
        how, again = resumed_and_fresh(world, tmp_path, name, study, world / f"done-{name}")
    finally:
        shutil.rmtree(world / "in")
        shutil.copytree(kept, world / "in")
    print(f"WALK {name} {file} -> {how[:150]} {again}")
    assert not how.startswith("stale")
