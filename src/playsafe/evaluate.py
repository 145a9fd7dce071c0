"""Prompts → completions → voices and verdicts → estimates, each step with its own files, each resumable.

    prompts/<key>.jsonl  completions/<key>.jsonl  voice/<key>.jsonl  verdicts/<key>.<judge>.jsonl
    likelihoods/<key>.jsonl  values/<key>.jsonl

Completions are written as they come; the last line of an id counts, and an id whose last line is an error is
asked again by the next start. Verdicts rest on completions and can be made again without generating.
Likelihoods are those of references, so they rest on no completion and no decoding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from functools import cache as remembered
from pathlib import Path
from typing import Any

from playsafe import judges, metrics, sources
from playsafe.config import StudyConfig, SystemTurn
from playsafe.errors import BadInput
from playsafe.gates import Gate, parse_gate
from playsafe.judges import Item
from playsafe.metrics import Answered
from playsafe.models.loading import Aligned
from playsafe.probes import ProbeSet, check_aims, expand
from playsafe.progress import Reporter
from playsafe.records import Completion, Estimate, LogProb, Prompt, Role, Verdict, Voice
from playsafe.rundir import (
    RunDir,
    append_jsonl,
    canonical,
    digest,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from playsafe.sources import PromptSet, system_text
from playsafe.statistics import sequential_share, share_looks
from playsafe.targets import Target
from playsafe.voice import voices

SPOKEN = ("harmful", "dark", "references")  # kinds of suites whose replies are asked for the role's voice
UNJUDGED = ("references", "task", "pairs")  # their references say what a good answer is
SCORED = ("task", "pairs")  # the likelihood of their references is measured
TOGETHER = 64  # replies judged between two writes
Advance = Callable[[int], None]


class Evaluator:
    """Asks, judges and estimates; one for a study, so that suites are read and judges loaded once."""

    def __init__(self, config: StudyConfig, roles: Sequence[Role], reporter: Reporter) -> None:
        self.config, self.roles, self.reporter = config.evaluation, roles, reporter
        self.gates = [parse_gate(text) for text in self.config.gates]
        absolute = [gate for gate in self.gates if gate.unit == "share" and not gate.relative]
        metrics.check(self.config.show)
        if self.config.stop_early and (not self.gates or len(absolute) < len(self.gates)):
            raise BadInput(
                "stopping early needs gates on plain shares, such as 'refusal >= 0.95'.",
                where="evaluation.stop_early",
            )
        self.judges = {judge.key: judges.get(judge.name) for judge in self.config.judges}
        self.options = {judge.key: judges.parse_options(judge) for judge in self.config.judges}
        self.suites = [sources.suite(suite, self.config) for suite in self.config.suites]
        self.cache = Path(config.output_dir) / "cache"
        self._decide = remembered(self._open)
        check_aims(self.config)
        self.common()  # refuses an attack whose files cannot be read

    def common(self, systems: Collection[SystemTurn] | None = None) -> list[ProbeSet]:
        """The suites that every role is asked alike, under these of the configured system turns."""
        common = [suite for suite in self.suites if suite.kind != "references"]
        return expand(self.config, common, systems=systems)

    def own(self, role: Role, references: PromptSet | None) -> list[ProbeSet]:
        """What one role alone is asked: its held-out rows, and its rows in suites with references."""
        sets = [sources.of_role(suite, role) for suite in self.suites if suite.kind == "references"]
        if references is not None and (references.prompts or not sets):
            sets.append(references)
        return expand(self.config, sets)

    def stale(self, run: RunDir, probes: Sequence[ProbeSet], basis: Any) -> bool:
        """Whether anything is left to ask or to judge. What rests on other settings is removed.

        basis: what the replies rest on besides the prompts and the run's identity: decoding, a file's hash.
        Replies, voices and verdicts have settings of their own: another judge never generates again, and
        what a shorter list of suites or judges leaves out stays for the day it is wanted again.
        """
        wanted = json.loads(canonical(self._wanted(probes, basis)))
        record = run / "evaluation.json"
        stored = read_json(record) if record.exists() else {"wanted": None, "replies": {}, "verdicts": {}}
        earlier = {"likelihoods": {}, "languages": {}} | (stored["wanted"] or {})  # runs from before these
        if run.finished and earlier == wanted and not read_json(run / "summary.json")["errors"]:
            return False
        replies, verdicts = stored["replies"], stored["verdicts"]
        changed = {key for key, how in wanted["replies"].items() if replies.get(key, how) != how}
        judged = {key for key, how in wanted["verdicts"].items() if verdicts.get(key, how) != how}
        scored, spoken = stored.get("likelihoods", {}), stored.get("languages", {})
        languages = {probe.key: probe.language for probe in probes}
        other = {key for key, language in languages.items() if spoken.get(key, "") != language}
        outdated = [f"completions/{key}.jsonl" for key in changed]
        outdated += [
            f"likelihoods/{key}.jsonl" for key, how in wanted["likelihoods"].items() if scored.get(key) != how
        ]
        for file in (run / "voice").glob("*.jsonl"):
            if file.stem in changed or stored.get("voice") != wanted["voice"]:
                outdated.append(f"voice/{file.name}")
        for file in (run / "verdicts").glob("*.jsonl"):
            key, _, judge = file.stem.rpartition(".")
            if key in changed or key in other or judge in judged:
                outdated.append(f"verdicts/{file.name}")
        run.reopen(outdated)
        known = {
            "replies": replies | wanted["replies"],
            "verdicts": verdicts | wanted["verdicts"],
            "likelihoods": scored | wanted["likelihoods"],
            "languages": spoken | languages,
        }
        write_json(record, {"wanted": wanted, **known, "voice": wanted["voice"]})
        return True

    def evaluate(
        self,
        run: RunDir,
        label: str,
        probes: Sequence[ProbeSet],
        target: Target,
        role: Role | None,
        frozen: Callable[[], Aligned] | None,
    ) -> dict[str, Any]:
        """Ask everything, then measure likelihoods and voices, then judge, then estimate.

        frozen: gives the aligned model for the voice; None (or no role) leaves voice out. Returns what goes
        into summary.json: estimates, suites with what was asked of each, number of errors.
        """
        run.status("evaluating")
        for probe in probes:
            write_jsonl(run / "prompts" / f"{probe.key}.jsonl", map(_shown, probe.prompts))
        asked = []
        total = sum(len(probe.prompts) for probe in probes if probe.kind != "pairs")
        with self.reporter.task(f"evaluate {label}", total) as advance:
            for probe in probes:
                asked.append(self._ask(run, probe, target, role, advance))
        likely = self._likelihoods(run, label, probes, [prompts for prompts, _ in asked], target, role)
        target.close()
        failed = [c for _, completions in asked for c in completions if c.finish == "error"]
        if failed:
            total = sum(len(completions) for _, completions in asked)
            self.reporter.note(
                f"{label}: {len(failed)} of {total} replies are errors ({failed[0].error}); "
                "repeat the command to ask for them again"
            )
        measured = frozen if self.config.voice.measure and role is not None else None
        answers = [
            Answered(
                probe.key,
                probe.kind,
                prompts,
                completions,
                self._voices(run, probe, prompts, completions, role, measured),
                role.name if role else "",
                probe.language,
                likelihoods,
            )
            for probe, (prompts, completions), likelihoods in zip(probes, asked, likely, strict=True)
        ]
        estimates: list[Estimate] = []
        errors = len(failed)
        for probe, answered in zip(probes, answers, strict=True):
            verdicts = {key: self._verdicts(run, answered, key) for key in self._judges_of(probe)}
            errors += sum(v.state == "error" for given in verdicts.values() for v in given)
            values = self._values(answered, verdicts)
            write_jsonl(run / "values" / f"{probe.key}.jsonl", metrics.lines(answered.prompts, values))
            found = metrics.estimates(probe.key, answered.prompts, values)
            looks = len(self._blocks(probe))
            estimates += found if looks == 1 else [_looked_at(estimate, looks) for estimate in found]
        suites = {
            probe.key: probe.to_json() | {"asked": len(replies)} | self._looks(probe, len(prompts))
            for probe, (prompts, replies) in zip(probes, asked, strict=True)
        }
        return {"estimates": [e.to_json() for e in estimates], "suites": suites, "errors": errors}

    # --- asking ---------------------------------------------------------------------------------------

    def _ask(
        self, run: RunDir, probe: ProbeSet, target: Target, role: Role | None, advance: Advance
    ) -> tuple[list[Prompt], list[Completion]]:
        """The prompts that were asked, and their completions: all, or fewer where the gates are decided.
        Pairs have their replies already: nothing is generated."""
        if probe.kind == "pairs":
            return list(probe.prompts), []
        path = run / "completions" / f"{probe.key}.jsonl"
        found = {row["id"]: Completion(**row) for row in read_jsonl(path)}
        good = {name for name, completion in found.items() if completion.finish != "error"}
        system = system_text(probe.system, role)
        asked: list[Prompt] = []
        blocks = self._blocks(probe)
        for block in blocks:
            advance(sum(p.id in good for p in block))
            for group in target.answers(block, system, good):
                rows = [_decoded(completion, probe) for completion in group]
                append_jsonl(path, map(asdict, rows))
                found |= {row.id: row for row in rows}
                advance(len(rows))
            asked += block
            if len(blocks) > 1 and self._settled(probe, asked, found, len(blocks)):
                break
        kept = {p.id for p in asked}
        prompts = [p for p in probe.prompts if p.id in kept]
        return prompts, [found[p.id] for p in prompts]

    def _blocks(self, probe: ProbeSet) -> list[list[Prompt]]:
        """The prompts between two looks at the gates; one block where nothing is stopped early."""
        several = any(p.trial not in ("", p.id) for p in probe.prompts)  # texts of one request stay together
        if probe.kind == "pairs" or not self.config.stop_early or several or not self._gates_of(probe):
            return [list(probe.prompts)]
        order = sorted(probe.prompts, key=lambda p: digest(p.id))  # a random order that every start repeats
        ends = share_looks(len(order))
        return [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _gates_of(self, probe: ProbeSet) -> list[Gate]:
        """The gates that are about a suite and measure something of its kind."""
        return [g for g in self.gates if g.concerns(probe.key) and probe.kind in metrics.get(g.metric).kinds]

    def _settled(
        self, probe: ProbeSet, asked: Sequence[Prompt], found: dict[str, Completion], looks: int
    ) -> bool:
        """Whether every gate on this suite is decided by every judge, whichever way."""
        replies = [found[p.id] for p in asked]
        answered = Answered(probe.key, probe.kind, asked, replies, language=probe.language)
        verdicts = {key: self._judge(key, _items(answered)) for key in self._judges_of(probe)}
        estimates = metrics.estimates(probe.key, asked, self._values(answered, verdicts))
        for gate in self._gates_of(probe):
            measured = [_looked_at(e, looks) for e in estimates if e.metric == gate.metric]
            states = [read[1] for e in measured if (read := gate.judged(e)) is not None]
            if not states or "undecided" in states:
                return False
        return True

    def _judges_of(self, probe: ProbeSet) -> Collection[str]:
        return self.judges if probe.kind not in UNJUDGED else ()

    def _values(self, answered: Answered, verdicts: dict[str, list[Verdict]]) -> metrics.By:
        """Judge → metric → a value for each reply."""
        values = {metrics.UNJUDGED: metrics.measure(answered)}
        for key, given in verdicts.items():
            outcomes = self.judges[key].outcomes(self.options[key])
            values[key] = metrics.measure(replace(answered, judge=key, outcomes=outcomes, verdicts=given))
        return values

    def _looks(self, probe: ProbeSet, asked: int) -> dict[str, Any]:
        looks = len(self._blocks(probe))
        return {"looks": looks, "stopped": asked < len(probe.prompts)} if looks > 1 else {}

    # --- likelihoods, voices and verdicts -------------------------------------------------------------

    def _likelihoods(
        self,
        run: RunDir,
        label: str,
        probes: Sequence[ProbeSet],
        asked: Sequence[Sequence[Prompt]],
        target: Target,
        role: Role | None,
    ) -> list[dict[str, tuple[LogProb, ...]]]:
        """Of each probe's references, by prompt id; nothing where none is asked for or can be had."""
        made: list[dict[str, tuple[LogProb, ...]]] = []
        without = []
        for probe, prompts in zip(probes, asked, strict=True):
            path = run / "likelihoods" / f"{probe.key}.jsonl"
            rows = read_jsonl(path) if probe.kind in SCORED else []
            known = {row["id"]: tuple(LogProb(**one) for one in row["logprobs"]) for row in rows}
            if probe.kind in SCORED and not {p.id for p in prompts} <= known.keys():
                with self.reporter.task(f"likelihoods {label} {probe.key}", len(prompts)) as advance:
                    found = target.likelihoods(prompts, system_text(probe.system, role))
                    advance(len(prompts))
                known = {p.id: one for p, one in zip(prompts, found or (), strict=found is not None)}
                if found is None:
                    without.append(probe.key)
                else:
                    rows = [{"id": name, "logprobs": list(map(asdict, one))} for name, one in known.items()]
                    write_jsonl(path, rows)
            made.append({p.id: known[p.id] for p in prompts if p.id in known})
        if without:
            self.reporter.note(
                f"{label}: no likelihoods can be had from this target, so {', '.join(without)} "
                "has no reward gap and no perplexity"
            )
        return made

    def _voices(
        self,
        run: RunDir,
        probe: ProbeSet,
        prompts: Sequence[Prompt],
        completions: Sequence[Completion],
        role: Role | None,
        frozen: Callable[[], Aligned] | None,
    ) -> dict[str, Voice]:
        if frozen is None or role is None or probe.kind not in SPOKEN:
            return {}
        path = run / "voice" / f"{probe.key}.jsonl"
        known = {row["id"]: Voice.from_json(row) for row in read_jsonl(path)}
        if not {c.id for c in completions if c.text} <= known.keys():
            aligned = frozen()
            exchanges = list(zip(prompts, completions, strict=True))
            many = self.config.voice.attribution
            made = voices(
                aligned.model, aligned.renderer, role, exchanges, roles=self.roles, attribution=many
            )
            write_jsonl(path, map(asdict, made))
            known = {voice.id: voice for voice in made}
        return {c.id: known[c.id] for c in completions if c.id in known}

    def _verdicts(self, run: RunDir, answered: Answered, key: str) -> list[Verdict]:
        """Verdicts of one judge, those that are there already kept, errors asked again."""
        path = run / "verdicts" / f"{answered.suite}.{key}.jsonl"
        stored = [Verdict(**row) for row in read_jsonl(path)]
        known = {verdict.id: verdict for verdict in stored if verdict.state != "error"}
        items = _items(answered)
        missing = [item for item in items if item.id not in known]
        if missing:
            with self.reporter.task(f"judge {answered.suite} by {key}", len(missing)) as advance:
                for start in range(0, len(missing), TOGETHER):
                    group = missing[start : start + TOGETHER]
                    made = self._judge(key, group)
                    append_jsonl(path, map(asdict, made))
                    stored += made
                    known |= {verdict.id: verdict for verdict in made}
                    advance(len(group))
        verdicts = [known[item.id] for item in items]
        if len(stored) > len(verdicts):  # errors that are mended, prompts that are no longer asked
            write_jsonl(path, map(asdict, verdicts))
        return verdicts

    def _judge(self, key: str, items: Sequence[Item]) -> list[Verdict]:
        return judges.verdicts(self._decide(key), items, self.judges[key].languages(self.options[key]))

    def _open(self, key: str) -> judges.Decide:
        return self.judges[key].open(self.options[key], self.cache / f"{key}.jsonl")

    def _wanted(self, probes: Sequence[ProbeSet], basis: Any) -> dict[str, Any]:
        voice = [self.config.voice.model_dump(), [role.name for role in self.roles]]
        return {
            "replies": {probe.key: [probe.identity, basis] for probe in probes if probe.kind != "pairs"},
            "likelihoods": {probe.key: probe.identity for probe in probes if probe.kind in SCORED},
            "languages": {probe.key: probe.language for probe in probes if probe.language},
            "voice": voice if self.config.voice.attribution else voice[:1],
            "verdicts": {key: judge.identity(self.options[key]) for key, judge in self.judges.items()},
            "gates": self.config.gates if self.config.stop_early else [],
            "metrics": metrics.names(),
        }


def _shown(prompt: Prompt) -> dict[str, Any]:
    """A prompt as people look it up beside its reply."""
    row: dict[str, Any] = {
        "id": prompt.id,
        "text": prompt.messages[-1].content,
        "references": prompt.references,
    }
    return row | ({"request": prompt.request} if prompt.request else {})


def _items(answered: Answered) -> list[Item]:
    pairs = zip(answered.prompts, answered.completions, strict=True)
    return [
        Item(
            p.id,
            answered.kind,
            p.plain,
            c.said,
            (c.error or "no reply") if c.finish == "error" else "",
            answered.language,
        )
        for p, c in pairs
    ]


def _decoded(completion: Completion, probe: ProbeSet) -> Completion:
    plain = probe.read(completion.text) if completion.text else ""
    plain = plain.encode("utf-8", "replace").decode()  # character codes may name half a surrogate pair
    return replace(completion, decoded="" if plain == completion.text else plain)


def _looked_at(estimate: Estimate, looks: int) -> Estimate:
    """A share with the wider interval that several looks at the data ask for."""
    if estimate.method != "wilson" or estimate.value is None:
        return estimate
    hits = round(estimate.value * estimate.n)
    _, low, high = sequential_share(hits, estimate.n, looks)
    return replace(estimate, low=low, high=high, method="sequential")
