"""Files, programs and names of others: bounded, shown as they are, one clear line where they are broken."""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_report_study import write_study

from conftest import playsafe, random_model
from playsafe import methods
from playsafe.cli import app as cli
from playsafe.cli.screen import Screen, clean
from playsafe.config import LoraSettings, ModelConfig, load_study
from playsafe.data.files import parse_json, read_rows
from playsafe.errors import BadInput, SystemFault
from playsafe.evaluation.freshness import Ledger
from playsafe.limits import limited
from playsafe.models.adapters import check_adapter, refuse_endless
from playsafe.models.loading import load_aligned
from playsafe.report import write_page
from playsafe.results import load
from playsafe.rundir import RunDir, read_json, seals, write_json
from playsafe.settings import parse_yaml
from playsafe.study import weights
from playsafe.training import _last_complete, check_lora, checks
from playsafe.training.trainer import COMPLETE
from playsafe.visible import straight

HOSTILE = "[/] \x1b[31mred\x1b[0m \x9b2J \u202eevil\u202c \u2066x \x07 [bold]b[/bold] \ud800 \U000e0041"
OBEYED = {chr(n) for n in (*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066, 0xD800, 0xE0041)}


_LETTERS = "abcdefghijklmnopqrstuvw"
BILLIONS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise(_LETTERS))


# --- what is printed ----------------------------------------------------------------------------------------


def test_nothing_printed_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(False, False)
    screen.table([HOSTILE, "b"], [[HOSTILE, None]], HOSTILE)
    screen.line(HOSTILE)
    screen.note(HOSTILE)
    screen.error(HOSTILE)
    screen.spans([(HOSTILE, "bold green")])
    with screen.task(HOSTILE, 3) as advance:
        advance(1)
    Screen(False, True).result({HOSTILE: [HOSTILE]})
    shown = capsys.readouterr()
    assert not OBEYED & {*shown.out, *shown.err}
    assert "[bold]b[/bold]" in shown.out + shown.err  # no markup either
    last = shown.out[shown.out.index("{\n") :]
    assert json.loads(last) == {HOSTILE: [HOSTILE]}  # JSON means what it meant


def test_an_error_is_one_line_of_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(False, False).error("a\nb" * 10_000)
    [line] = capsys.readouterr().err.splitlines()
    assert len(line) < 3_000
    assert clean("a\nb\tc") == "a\\nb c"
    assert straight("a\u202eb\n\x1b") == "a\\u202eb\n\x1b"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BadInput("wrong."), 2, "wrong."),
        (OSError(28, "No space left on device", "x"), 3, "the disk is full"),
        (PermissionError(13, "Permission denied", "x"), 3, "x: permission denied"),
        (OSError(36, "File name too long", "x"), 2, "too long"),
        (RuntimeError("[enforce fail at inline_container.cc:603]"), 3, "the disk is full"),
        (MemoryError(), 3, "not enough memory"),
        (KeyError("x"), 3, "unforeseen: KeyError"),
    ],
)
def test_every_error_is_one_line_and_never_a_failed_gate(
    error: Exception,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(**options: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fails)
    assert playsafe("run") == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_an_unknown_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert playsafe("run", "--\x1b[31mnothing") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line


# --- files that never end -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "unfold"),
        (BILLIONS, "unfold"),
        ("[" * 5_000, "nested too deeply"),
        ("a: " + "9" * 5_000, "thousands of digits"),
        ("a: 2020-13-45", "month"),
        ("{[a]: b}", "key"),
        ("\x1b", "special characters"),
    ],
)  # fmt: skip
def test_yaml_without_end(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_yaml(text, "x.yaml")
    assert parse_yaml("a: &a [1, 2]\nb: *a", "x") == {"a": [1, 2], "b": [1, 2]}  # an alias is no fault


@pytest.mark.parametrize(("text", "said"), [("[" * 100_000, "deeply"), ("9" * 5_000, "digits")])
def test_json_without_end(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_json(text, "x.json")


def test_a_workbook_that_unpacks_to_more_than_can_be_read(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b" " * (120 << 20))
    (tmp_path / "x.xlsx").write_bytes(packed.getvalue())
    with pytest.raises(BadInput, match="unpacks to 120 MB"):
        read_rows(tmp_path / "x.xlsx")


def test_a_workbook_with_a_cell_at_its_far_end(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD3000"] = "prompt", "x"
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(BadInput, match="cells"):
        read_rows(tmp_path / "x.xlsx")


# --- programs of others -------------------------------------------------------------------------------------


def test_a_block_that_takes_too_long_or_too_much() -> None:
    with pytest.raises(BadInput, match=r"x: the block takes over 0\.05 s"), limited(0.05, "the block", "x"):
        time.sleep(10)
    with limited(5, "the block"):
        pass
    if sys.platform == "linux":
        with pytest.raises(MemoryError), limited(5, "the block", memory=1 << 26):
            bytearray(1 << 30)
        bytearray(1 << 28)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target_modules": "(.*)*(.*)*(.*)*x"}, "takes over"),
        ({"target_modules": "["}, "no regular expression"),
        ({"rank_pattern": {"(": 2}}, "no regular expression"),
        ({"rank_pattern": {3: 2}, "exclude_modules": "("}, "no regular expression"),
    ],
)
def test_patterns_of_adapters(settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playsafe.models.adapters.SECONDS", 0.2)
    with pytest.raises(BadInput, match=said):
        refuse_endless(settings, ["model.layers.0.self_attn.q_proj" + "a" * 60], "adapter")
    refuse_endless(
        {"target_modules": r".*\.(q|v)_proj", "rank_pattern": {"q_proj": 4}}, ["a.q_proj"], "adapter"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    ],
)
def test_templates_without_end(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playsafe.data.template.SECONDS", 0.3)
    monkeypatch.setattr("playsafe.data.template.MEMORY", 1 << 27)
    with pytest.raises(BadInput, match="chat template"):
        load_aligned(ModelConfig(), chat_template=template)


# --- directories of others ----------------------------------------------------------------------------------


def _renamed(summary: dict[str, Any], name: str) -> None:
    summary["suites"][name] = summary["suites"].pop("harmful")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: _renamed(s, "../../outside"),
        lambda s: _renamed(s, "/etc/passwd"),
        lambda s: s["estimates"][0].update(judge="../rules"),
        lambda s: s["estimates"][0].update(value="x"),
        lambda s: s.update(suites=[1]),
        lambda s: s.update(role={"a": 1}),
        lambda s: s.update(training="x"),
    ],
)
def test_a_summary_of_somebody_elses_making(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    write_study(tmp_path, steps=2)
    path = next(tmp_path.rglob("base/summary.json"))
    summary = read_json(path)
    change(summary)
    write_json(path, summary)
    with pytest.raises(BadInput, match=r"not a summary of ours|names of suites"):
        load(tmp_path)


def test_a_mark_in_a_name_turns_nothing_round_on_the_page(tmp_path: Path) -> None:
    write_study(tmp_path, steps=2)
    study = read_json(tmp_path / "study.json") if (tmp_path / "study.json").exists() else {}
    write_json(tmp_path / "study.json", study | {"name": "a\u202ename\u2066"})
    page = write_page(tmp_path).read_text(encoding="utf-8")
    assert "a\\u202ename\\u2066" in page
    assert not {"\u202e", "\u2066"} & {*page}


def test_a_lost_ledger_is_made_good_from_its_copy(tmp_path: Path) -> None:
    ledger = Ledger(RunDir(tmp_path / "run", {"a": 1}))
    ledger.begins("answer", {"completions/x.jsonl": "basis"})
    ledger.finish("answer")
    for damage in (b"", None):
        place = tmp_path / "run" / "evaluation.json"
        if damage is None:
            place.unlink()
        else:
            place.write_bytes(damage)
        assert not Ledger(ledger.run).begins("answer", {"completions/x.jsonl": "basis"})
    assert Ledger(ledger.run).begins("answer", {"completions/x.jsonl": "other"})


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_models_own_dropout_is_seen(dropout: float) -> None:
    assert checks.drops(random_model("llama", attention_dropout=dropout)) == (dropout > 0)


@pytest.mark.parametrize(
    ("steps", "share", "rule", "said"),
    [(19, 0.3, "score", 1), (20, 0.3, "score", 0), (20, 0.0, "score", 1), (20, None, "none", 0)],
)
def test_trainings_that_say_little_say_so(steps: int, share: float | None, rule: str, said: int) -> None:
    assert len(weights._notes(methods.get("sarft"), {"share": share, "rule": rule}, steps)) == said


def test_lora_without_a_place_is_refused_before_any_work() -> None:
    model = random_model("llama")
    check_lora(model, LoraSettings())
    with pytest.raises(BadInput, match="nowhere"):
        check_lora(model, LoraSettings(target_modules=["nowhere"]))
    assert not any("lora" in name for name, _ in model.named_modules())


def test_a_checkpoint_of_which_a_bit_turned_is_not_gone_on_from(tmp_path: Path) -> None:
    place = tmp_path / "checkpoint-8"
    place.mkdir()
    (place / "weights").write_bytes(b"12345678")
    write_json(place / COMPLETE, seals(place, ["weights"]))
    assert _last_complete(tmp_path) == (place, 8)
    (tmp_path / "checkpoint-best").mkdir()  # somebody's own
    (place / "weights").write_bytes(b"12345679")
    assert _last_complete(tmp_path) == (None, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-best"]


def test_a_link_out_of_a_study_is_not_read(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    outside = tmp_path / "private.json"
    outside.write_text('{"name": "SECRET"}')
    (tmp_path / "study" / "study.json").unlink()
    (tmp_path / "study" / "study.json").symlink_to(outside)
    with pytest.raises(BadInput, match="leads out"):
        load(tmp_path / "study")


def test_adapters_that_are_none(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"peft_type": "LORA", "task_type": "SEQ_CLS"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(BadInput, match="SEQ_CLS"):
        check_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    os.mkfifo(tmp_path / "adapter_model.safetensors")
    with pytest.raises(BadInput, match=r"no adapter_model\.safetensors"):
        check_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"r": NaN}')
    with pytest.raises(BadInput, match="NaN"):
        check_adapter(tmp_path)


# --- what a study names -------------------------------------------------------------------------------------


def test_paths_are_looked_for_beside_the_study_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "rows").mkdir(parents=True)
    for name in ("roles.json", "suite.jsonl", "here/suite.jsonl", "here/rubric.txt"):
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    suites = [
        {"name": n, "kind": "benign", "path": p} for n, p in (("a", "suite.jsonl"), ("b", "~/suite.jsonl"))
    ]
    judges = [{"name": "keywords", "options": {"phrases": "rubric.txt"}}]
    study = {
        "output_dir": "out",
        "roles": {"path": "roles.json"},
        "data": {"path": "rows/{role}.jsonl"},
        "evaluation": {"suites": suites, "judges": judges},
    }
    Path("here/study.yaml").write_text(json.dumps(study))
    found = load_study(Path("here/study.yaml"), ["model.name_or_path=~/model"])
    assert found.evaluation.suites[0].path == "here/suite.jsonl"
    assert found.evaluation.suites[1].path == str(tmp_path / "home" / "suite.jsonl")
    assert found.evaluation.judges[0].options == {"phrases": "here/rubric.txt"}
    assert (found.roles and found.roles.path) == "roles.json"  # beside it is none
    assert found.data.path == "here/rows/{role}.jsonl"
    assert found.model.name_or_path == str(tmp_path / "home" / "model")
    assert found.output_dir == "out"


@pytest.mark.parametrize(
    "override",
    [
        "seeds=[-1]",
        "seeds=[4294967296]",
        "data.limit=true",
        "training.max_steps=0",
        "training.weight_decay=-1",
        "training.lora.lora_alpha=0",
        "output_dir=' '",
        "output_dir=~nobody-of-this-name/x",
        "evaluation.suites=[{name: a, kind: benign, path: x, limit: true}]",
        "methods=[{name: sft, label: base}]",
        'methods=[{name: sft, label: "\u200b"}]',
        'name="\\ud800"',
        "evaluation.suites=[{name: " + "x" * 300 + ", kind: benign, path: x}]",
    ],
)
def test_settings_that_mean_nothing(override: str) -> None:
    with pytest.raises(BadInput):
        load_study(None, [override])


def test_a_full_disk_leaves_the_report_unwritten_and_says_so(tmp_path: Path) -> None:
    found = SystemFault.of(OSError(122, "Disk quota exceeded", "a/b"))
    assert found is not None
    assert (found.exit_code, str(found)) == (
        3,
        "a/b: the disk is full. Make room and repeat the command; it continues.",
    )
