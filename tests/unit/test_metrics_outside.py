"""A metric of somebody else's: one file named by an entry point, seen by estimates, show, page and gates."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_evaluate_likelihoods import HARM, SHORT, Fixed, Notes
from test_report_study import write_study

from conftest import playsafe
from playsafe import metrics
from playsafe.config import StudyConfig
from playsafe.errors import BadInput
from playsafe.evaluation import Evaluator
from playsafe.records import Completion, Prompt
from playsafe.report import summary_table, write_page
from playsafe.report.verdict import headlines
from playsafe.results import Numbers, decisions, load
from playsafe.rundir import RunDir, read_jsonl, write_json
from playsafe.statistics import bootstrap_mean

SOURCE = """
import math

from playsafe.metrics import Measure, Reply


class Length(Measure):
    name = "length"
    summary = "tokens of a reply"
    title = "tokens a reply"
    unit = "tokens"
    better = "lower"
    kinds = ("harmful",)

    def value(self, reply: Reply) -> float:
        failed = reply.completion is None or reply.completion.finish == "error"
        return math.nan if failed else float(reply.completion.tokens)


METRIC = Length()
"""


class Talker(Fixed):
    """Replies of 1, 2, 3, ... tokens; the first ones fail."""

    def __init__(self, shift: int = 0, failing: int = 0) -> None:
        super().__init__()
        self.shift, self.failing = shift, failing

    def answers(
        self, prompts: Sequence[Prompt], system: str | None, found: object
    ) -> Iterator[list[Completion]]:
        rows = [Completion(p.id, p.suite, "No.", n + self.shift, "stop") for n, p in enumerate(prompts, 1)]
        lost = [replace(row, text="", tokens=0, finish="error", error="gone") for row in rows]
        yield [*lost[: self.failing], *rows[self.failing :]]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution on the search path that offers the metric."""
    site = tmp_path / "site"
    info = site / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "their_length.py").write_text(SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[playsafe.metrics]\nlength = their_length\n")
    monkeypatch.syspath_prepend(str(site))
    metrics.known.cache_clear()
    yield
    sys.modules.pop("their_length", None)
    metrics.known.cache_clear()


def nothing() -> None:
    """A stage begins."""


def study(root: Path, failing: int = 0, **evaluation: object) -> Path:
    """The aligned model and one method, asked twelve prompts by the evaluator itself."""
    settings = {"suites": [HARM | {"limit": 12}], "generation": SHORT.model_dump(), **evaluation}
    config = StudyConfig.model_validate({"roles": None, "evaluation": settings})
    places = {
        "base": (root / "base", None, 0, 0),
        "sft": (root / "no_role" / "sft" / "seed-0", 0, 2, failing),
    }
    for method, (path, seed, shift, lost) in places.items():
        run, evaluator = RunDir(path, {}), Evaluator(config, [], Notes())
        probes = evaluator.common()
        about = {"role": None, "method": method, "seed": seed, "model": "tiny", "version": "1"}
        talker: Any = Talker(shift, lost)
        evaluator.answer(run, method, probes, lambda talker=talker: talker, None, "decoding", nothing)
        evaluator.judge(run, method, probes, "decoding", nothing)
        evaluator.measure(run, method, probes, None, None, "decoding", about, nothing)
    stored = {"name": "theirs", "roles": None, "methods": [{"name": "sft"}], "seeds": [0]}
    write_json(root / "study.json", stored | {"evaluation": dict(evaluation)})
    return root


@pytest.mark.usefixtures("outside")
def test_a_metric_outside_appears_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gates = ["length <= 12", "length <= base + 2.5", "length <= base + 1"]
    root = study(tmp_path / "study", gates=gates)
    run = load(root).trained[0]
    values = [row["values"]["none"]["length"] for row in read_jsonl(run.path / "values" / "harm.jsonl")]
    assert values == [float(n + 2) for n in range(1, 13)]
    stored = run.estimate("harm", "length")
    assert stored is not None
    assert (stored.value, stored.low, stored.high) == pytest.approx(bootstrap_mean(values))
    assert (stored.n, stored.errors, stored.method) == (12, 0, "bootstrap")
    apart = Numbers(load(root)).difference("sft", "base", "length")
    assert apart is not None
    assert apart[:4] == pytest.approx((2, 2, 2, 12))  # paired by prompt: every reply is two tokens longer
    found = {d.gate: d for d in decisions(load(root))}
    assert [found[gate].state for gate in gates] == ["pass", "pass", "fail"]
    assert {d.unit for d in found.values()} == {"tokens"}
    assert (found[gates[1]].value, found[gates[1]].n) == (2, 12)
    page = write_page(root).read_text(encoding="utf-8")
    text = " ".join(re.sub("<.*?>", " ", page[page.index("<body>") : page.index('id="data"')]).split())
    assert re.search(r"tokens a reply tokens lower – 6\.500 \[4\.\d+, 8\.\d+\] 8\.500 \[", text)
    assert "length &lt;= base + 1 failed sft · seed 0 harm none +2.000 tokens [2.000, 2.000] 12" in text
    assert playsafe("show", str(root)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(r"harm │ length │ none │ 8.5000 │ \S+ │ \S+ │ tokens │ 12", shown)


@pytest.mark.usefixtures("outside")
def test_replies_that_it_lacks_never_let_a_gate_pass(tmp_path: Path) -> None:
    root = study(tmp_path / "study", failing=1, gates=["length <= 99", "length <= base + 9", "length <= 1"])
    assert [(d.state, d.n) for d in decisions(load(root))] == [
        ("undecided", 12),
        ("undecided", 12),
        ("fail", 12),
    ]


@pytest.mark.usefixtures("outside")
def test_what_is_shown_first_is_the_studys_choice(tmp_path: Path) -> None:
    runs = load(study(tmp_path / "study", show=["length", "refusal"]))
    assert summary_table(runs)[0] == ["method", "tokens a reply (tokens)", "refusal"]
    assert [name for name, _, _ in headlines(Numbers(runs))[0][1]] == ["tokens a reply (tokens)", "refusal"]
    assert [metric.name for metric in runs.measured][:2] == ["length", "refusal"]
    with pytest.raises(BadInput, match=r"unknown metric 'lenght'. Did you mean 'length'"):
        study(tmp_path / "other", show=["lenght"])


def test_a_measure_whose_metric_is_gone_stays_among_the_estimates(tmp_path: Path) -> None:
    root = write_study(tmp_path, roles={"Alma": ""}, seeds=(0,), steps=3)
    summary = root / "base" / "summary.json"
    summary.write_text(summary.read_text().replace('"disclaimer"', '"gone_metric"'))
    assert "gone_metric" in write_page(root).read_text(encoding="utf-8")
