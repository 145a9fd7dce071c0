"""The grid of a study: roles × methods × seeds, stage by stage, each cell in its own run directory.

    <output_dir>/<role>/scores/          RDS scores of the role's rows
    <output_dir>/<role>/<method>/seed-N/ one training run and its evaluation; <role> is no_role without one
    (and the base runs of `playsafe.bench`)

Every stage goes on where it stopped; a finished cell is never computed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playsafe import checks, methods, pairing, sources
from playsafe.bench import Bench, place
from playsafe.config import MethodConfig, ModelConfig, StudyConfig
from playsafe.data.chat import Fitted, render_dialogue
from playsafe.data.collate import Row, TrainRow
from playsafe.errors import BadInput
from playsafe.models.loading import Aligned, attach_adapter, load_weights
from playsafe.progress import Reporter, Silent
from playsafe.provenance import environment
from playsafe.records import Dialogue, Role, Score
from playsafe.rundir import RunDir, ranks, read_json, read_jsonl, slug, write_json, write_jsonl
from playsafe.scoring import score_rows
from playsafe.sources import RoleData, system_text
from playsafe.targets import InProcess
from playsafe.train import train
from playsafe.training.arguments import check_settings, check_study, training_arguments

# training settings that change no number
NOT_NUMBERS = {"save_steps", "logging_steps", "report_to", "gap_steps", "gap_pairs"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run of the grid."""

    role: Role | None
    method: MethodConfig
    seed: int

    @property
    def label(self) -> str:
        who = f"{self.role.name} · " if self.role else ""
        return f"{who}{self.method.key} · seed {self.seed}"


class Study:
    """A configured study with its resident aligned model."""

    def __init__(self, config: StudyConfig, reporter: Reporter | None = None) -> None:
        self.config, self.reporter = config, reporter or Silent()
        self.several = ranks()[1] > 1  # started by a launcher with several processes: training alone
        self.root = Path(config.output_dir)
        self.roles = sources.roles(config.roles) if config.roles is not None else []
        names = [slug(role.name) for role in self.roles]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise BadInput(
                f"two roles would share the directory {twice!r}.",
                where="roles.names",
                next="Name each role once; names must differ in letters or digits.",
            )
        if not self.roles and config.roles is not None:
            raise BadInput(
                "the study has no role.", where="roles.names", next="`roles: null` is a study without roles."
            )
        if config.targets:
            raise BadInput(
                "targets are not trained here.", where="targets", next="Use `playsafe evaluate STUDY.yaml`."
            )
        check_study(config)
        self.pairs = pairing.read_pairs(config.pairs, has_role=bool(self.roles)) if config.pairs else None
        self.bench = Bench(config, self.roles, self.reporter)
        self._fitted: dict[str, list[tuple[Dialogue, Fitted]]] = {}
        self._rendered: dict[str, list[pairing.RenderedPair]] = {}

    # --- what the cells are made of -------------------------------------------------------------------

    @property
    def aligned(self) -> Aligned:
        return self.bench.aligned

    def data(self, role: Role) -> RoleData:
        return self.bench.data(role)

    def fitted(self, role: Role) -> list[tuple[Dialogue, Fitted]]:
        """Every training row with what became of it under the length limit."""
        if role.name not in self._fitted:
            system = system_text(self.config.training.system, role)
            data, renderer = self.config.data, self.aligned.renderer
            rows = [
                (d, render_dialogue(renderer, d, system, data.max_length, data.overlong))
                for d in self.data(role).train
            ]
            lost = [d for d, f in rows if f.outcome == "dropped"]
            if lost:
                self.reporter.note(
                    f"{role.name}: {len(lost)} of {len(rows)} rows are over max_length and dropped"
                )
            self._fitted[role.name] = rows
        return self._fitted[role.name]

    def cells(self) -> list[Cell]:
        roles: Sequence[Role | None] = self.roles or [None]
        return [Cell(r, m, s) for r in roles for m in self.config.methods for s in self.config.seeds]

    def rendered_pairs(self, role: Role | None) -> list[pairing.RenderedPair]:
        """The study's preference pairs as a role's targets, without those over max_length."""
        name = role.name if role is not None else ""
        if self.pairs is not None and name not in self._rendered:
            data = self.config.data
            found = pairing.render_pairs(
                self.pairs, self.aligned.renderer, role, data.max_length, drop=data.overlong == "drop"
            )
            every = len(self.pairs.targets)
            if len(found) < every:
                self.reporter.note(f"{every - len(found)} of {every} pairs are over max_length and dropped")
            if not found:
                raise BadInput(
                    "no preference pair is left to train on.", where="pairs", next="See data.max_length."
                )
            self._rendered = {name: found}  # of one role at a time
        return self._rendered.get(name, [])

    def open(self) -> None:
        """Read all rows and claim the output directory; refuses bad rows and another study's directory.

        Everything that can be refused is refused here, before the first long computation.
        """
        for role in self.roles:
            self.fitted(role)
        first = next(iter(self.roles), None)
        checks.model_can_read(
            self.aligned.model, [reply for pair in self.rendered_pairs(first) for reply in pair], "pairs"
        )
        if self.config.training.gap_steps:
            self.bench.gap_probe(first)
        if self.pairs is not None and self.pairs.faults:
            dropped = self.pairs.counts["faulty"]
            self.reporter.note(
                f"the pairs have faults ({self._faults()}), {dropped} are dropped for them; "
                "`playsafe data pairs` lists them"
            )
        data = self.config.data.model_dump()
        training = self.config.training.model_dump(exclude=NOT_NUMBERS)
        identity = {
            **self.bench.model_identity,
            "data": data,
            "training": training,
            "scoring": {"threshold": self.config.scoring.threshold},
        }
        if self.config.pairs is not None:
            identity["pairs"] = self.config.pairs.model_dump()
        check_settings(self.config.training)
        training_arguments(self.config.training, self.root, seed=0, device=self.aligned.device)
        RunDir(self.root, identity)
        write_json(self.root / "study.json", self.config.model_dump())
        write_json(self.root / "provenance.json", environment())

    def _run(self, path: Path, **identity: Any) -> RunDir:
        return self.bench.open(path, {**self.bench.model_identity, **identity})

    # --- stages ---------------------------------------------------------------------------------------

    def score(self, role: Role) -> dict[str, Score]:
        """RDS scores of a role's training rows, by id."""
        fitted = [(d, f) for d, f in self.fitted(role) if f.rendered is not None]
        run = self._run(
            self.root / slug(role.name) / "scores",
            kind="scores",
            data=self.data(role).hash,
            length=[self.config.data.max_length, self.config.data.overlong, self.config.training.system],
        )
        renderer, ids = self.aligned.renderer, [d.id for d, _ in fitted]
        if run.finished:
            return {row["id"]: Score.from_json(row) for row in read_jsonl(run / "scores.jsonl")}
        self._alone("score")
        under_role, under_unsafe = (
            [renderer.render(f.messages, d.reply, system=system, where=d.source) for d, f in fitted]
            for system in (role.prompt, role.unsafe_prompt)
        )
        checks.model_can_read(self.aligned.model, [*under_role, *under_unsafe], f"role {role.name}")
        run.status("scoring", rows=len(ids))
        write_jsonl(
            run / "rows.jsonl",
            [{"id": d.id, "user": d.messages[-1].content, "reply": d.reply} for d, _ in fitted],
        )
        with self.reporter.task(f"score {role.name}", len(ids)) as advance:
            scores = score_rows(
                self.aligned.model,
                role.name,
                ids,
                under_role,
                under_unsafe,
                run / "scores.jsonl",
                tokens_per_batch=self.config.scoring.tokens_per_batch,
                advance=advance,
            )
        flagged = sum(score.gap > self.config.scoring.threshold for score in scores)
        run.finish({"role": role.name, "kind": "scores", "rows": len(scores), "flagged": flagged})
        return {score.id: score for score in scores}

    def train(self, cell: Cell) -> RunDir:
        """Train one cell; the run directory then holds training.json and the weights."""
        role, config = cell.role, self.config
        method, options = methods.get(cell.method.name), methods.parse_options(cell.method)
        identity: dict[str, Any] = {"role": [role.name, self.data(role).hash] if role else None}
        if self.pairs is not None and method.pairs(options) is not None:
            identity["pairs"] = self.pairs.hash
        run = self._run(
            self.path(cell),
            kind="run",
            **identity,
            method=[method.name, options.model_dump()],
            seed=cell.seed,
            training=config.training.model_dump(exclude=NOT_NUMBERS),
            length=[config.data.max_length, config.data.overlong],
        )
        if (run / "training.json").exists():
            gaps = any(key.startswith("gap:") for line in read_jsonl(run / "train.jsonl") for key in line)
            if config.training.gap_steps and not gaps:
                self.reporter.note(f"{cell.label} was trained before, without its reward gap being logged")
            return run
        if getattr(options, "threshold", 0.0) is None:
            options = options.model_copy(update={"threshold": config.scoring.threshold})
        rows, about = self._rows(cell, run, method, options)
        run.status("training", rows=len(rows))
        renderer = self.aligned.renderer
        with self.reporter.task(f"train {cell.label}", None) as advance, self._lent():
            result = train(
                self.aligned.model,
                method,
                options,
                rows,
                config.training,
                run.path,
                seed=cell.seed,
                pad_id=self._pad_id,
                end_of_turn=renderer.end_of_turn,
                second_model=lambda: load_weights(config.model),
                gaps=self.bench.gap_probe(role) if config.training.gap_steps else None,
                progress=lambda step, total: advance(1, total),
            )
        if config.training.lora is None:
            renderer.tokenizer.save_pretrained(run / "model")  # so that the directory is a model of its own
        write_json(run / "training.json", {**result, **about})
        return run

    def _rows(self, cell: Cell, run: RunDir, method: Any, options: Any) -> tuple[list[Row], dict[str, Any]]:
        """What a cell is trained on: the role's rows, weighed, and the pairs where the method takes them; and
        what training.json says of them."""
        role = cell.role
        rows: list[Row] = []
        about: dict[str, Any] = {"share": None, "rule": "none", "counts": {}}
        if role is not None:
            data, every = self.data(role), self.fitted(role)
            scores = self.score(role) if method.needs_scores(options) else {}
            fitted = [(d, f.rendered) for d, f in every if f.rendered is not None]
            checks.all_accounted(len(data.train), len(fitted), len(every) - len(fitted))
            subset = method.subset([d.id for d, _ in fitted], scores, options, cell.seed)
            chosen = {"rule": subset.rule, "threshold": subset.threshold, "share": subset.share}
            write_json(run / "subset.json", {**chosen, "ids": sorted(subset.ids)})
            for number, (dialogue, rendered) in enumerate(fitted):
                weighed = method.weigh(rendered.ids, rendered.reply_mask, dialogue.id in subset.ids, options)
                rows.append(TrainRow(number, rendered.ids, weighed.weights, weighed.counts))
            counts = {**data.counts, "trained": len(rows), "dropped": len(data.train) - len(rows)}
            about = {"share": subset.share, "rule": subset.rule, "counts": counts}
        use = method.pairs(options)
        if use is not None and self.pairs is not None:
            rendered_pairs = self.rendered_pairs(role)
            rows += pairing.pair_rows(
                self.aligned.model,
                rendered_pairs,
                use,
                first=len(rows),
                pad_id=self._pad_id,
                bf16=self.config.training.bf16,
                cache=self.root / "cache",
                identity=self.bench.model_identity,
            )
            too_long = len(self.pairs.targets) - len(rendered_pairs)
            about["pairs"] = {**self.pairs.counts, "trained": len(rendered_pairs), "too_long": too_long}
            about["faults"] = dict(Counter(fault.kind for fault in self.pairs.faults))
        return rows, about

    def evaluate(self, cell: Cell) -> None:
        """Evaluate a trained cell and write its summary.json."""
        run, role, evaluator = self.train(cell), cell.role, self.bench.evaluator
        self._alone("evaluate")
        training = read_json(run / "training.json")
        probes = evaluator.common()
        if role is not None:
            probes += evaluator.own(role, self.bench.references(role))
        self.bench.finish(
            run,
            cell.label,
            probes,
            lambda: self._target(run),
            role,
            method=cell.method.key,
            seed=cell.seed,
            options=methods.parse_options(cell.method).model_dump(by_alias=True),
            share=training["share"],
            training=training,
        )

    def _target(self, run: RunDir) -> InProcess:
        """What was trained: its adapter on the resident model, or a model of its own."""
        model: Any
        if self.config.training.lora is not None:
            model = attach_adapter(self.aligned.model, run / "adapter")
        else:
            placement = self.config.model.model_dump(
                include={"device", "dtype", "attn_implementation", "trust_remote_code"}
            )
            model = load_weights(ModelConfig(name_or_path=str((run / "model").resolve()), **placement))
        return self.bench.in_process(model)

    def base(self, role: Role | None) -> None:
        """Evaluate the untouched model: on the suites (role None), or as a role and on its references."""
        self._alone("evaluate")
        self.bench.base(role, self.bench.references(role) if role else None)

    def evaluate_trained(self) -> None:
        """Evaluate the aligned model and what is trained so far; BadInput when nothing is."""
        self.open()
        trained = [cell for cell in self.cells() if (self.path(cell) / "training.json").exists()]
        if not trained:
            raise BadInput(
                "nothing is trained yet.", where=str(self.root), next="Run `playsafe train` first."
            )
        self.base(None)
        for role in self.roles:
            self.base(role)
        for cell in trained:
            self.evaluate(cell)

    def path(self, cell: Cell) -> Path:
        """The run directory of a cell."""
        return self.root / place(cell.role) / slug(cell.method.key) / f"seed-{cell.seed}"

    def run(self) -> None:
        """The whole grid; repeating the call continues it."""
        self.open()
        self.base(None)
        for role in self.roles:
            self.base(role)
            self.score(role)
        for cell in self.cells():
            self.evaluate(cell)

    # --- details --------------------------------------------------------------------------------------

    @property
    def _pad_id(self) -> int:
        pad = self.aligned.renderer.tokenizer.pad_token_id
        return int(pad if pad is not None else self.aligned.renderer.end_of_turn)

    @contextmanager
    def _lent(self) -> Iterator[None]:
        """The resident model is lent to a training; trained in place, it is not the aligned one any more."""
        try:
            yield
        finally:
            if self.config.training.lora is None:
                self.bench.forget()

    def _faults(self) -> str:
        found = Counter(fault.kind for fault in self.pairs.faults) if self.pairs is not None else {}
        return ", ".join(f"{kind} {number}" for kind, number in sorted(found.items()))

    def _alone(self, verb: str) -> None:
        if self.several:
            raise BadInput(
                f"`{verb}` is work for one process, and this one was started with several.",
                where="accelerate launch",
                next=f"Run `playsafe {verb} STUDY.yaml` without the launcher; only `train` uses it.",
            )
