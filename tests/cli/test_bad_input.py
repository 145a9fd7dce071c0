"""Bad input through the real command line: one clear line, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import playsafe, random_model

Check = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run playsafe's entry point with a study; returns the one line it says."""

    def run(study: str, *arguments: str, verb: str = "run") -> str:
        config = tmp_path / "study.yaml"
        config.write_text(f"output_dir: {tmp_path / 'out'}\n" + study)
        code = playsafe(verb, str(config), "--quiet", *arguments)
        said = capsys.readouterr()
        assert code == 2, said
        assert "Traceback" not in said.err
        lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, said.err
        return lines[0]

    return run


def dialogue(user: str = "Hello!", reply: str = "Arr.") -> str:
    return json.dumps({"prompt": user, "completion": reply}) + "\n"


def test_missing_study(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "playsafe.cli", "run", str(tmp_path / "none.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "none.yaml: the file does not exist" in done.stderr.replace("\n", " ")


def test_missing_data_file(refused: Check) -> None:
    assert "nowhere.jsonl" in refused("data: {path: nowhere.jsonl}\nroles: {names: [Skarn]}\n")


def test_broken_json_names_the_line(refused: Check, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(dialogue() * 2 + '{"prompt": "x", \n')
    assert "rows.jsonl:3" in refused(f"data: {{path: {data}}}\nroles: {{names: [Skarn]}}\n")


def test_empty_reply_names_the_line(refused: Check, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(dialogue() + dialogue(reply="  "))
    line = refused(f"data: {{path: {data}}}\nroles: {{names: [Skarn]}}\n")
    assert "rows.jsonl:2" in line
    assert "empty" in line


def test_unknown_key_names_the_nearest(refused: Check) -> None:
    assert "Did you mean 'learning_rate'" in refused("training: {learning_rte: 1}\n")


def test_unknown_key_in_set(refused: Check) -> None:
    assert "Did you mean 'threshold'" in refused("", "--set", "scoring.treshold=1")


def test_unknown_role_names_the_nearest(refused: Check) -> None:
    assert "Skarn" in refused("roles: {names: [Scarn]}\n")


def test_unknown_method_and_judge(refused: Check) -> None:
    assert "Did you mean 'sarft'" in refused("methods: [sarf]\n")
    assert "unknown judge" in refused("evaluation: {judges: [rulez]}\n")


def test_row_over_max_length(refused: Check, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(dialogue() + dialogue(user="word " * 200))
    line = refused(f"data: {{path: {data}, max_length: 50, held_out: 0}}\nroles: {{names: [Skarn]}}\n")
    assert "rows.jsonl:2" in line
    assert "max_length 50" in line


def test_model_directory_without_chat_template(refused: Check, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from playsafe.tiny import MODEL_DIR

    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "bare")
    random_model("llama", len(tokenizer)).save_pretrained(tmp_path / "bare")
    own = "evaluation: {suites: []}\n"
    assert "no chat template" in refused(f"model: {{name_or_path: {tmp_path / 'bare'}}}\n{own}")


def test_missing_model_directory(refused: Check) -> None:
    assert "no such model directory" in refused("model: {name_or_path: ./not-here}\n")


@pytest.mark.parametrize(
    "asked",
    [
        "model: {name_or_path: DIR}",
        "model: {name_or_path: someone/model}",
        "targets: [{name: rival, model: DIR}]",
        "targets: [{name: served, endpoint: {base_url: 'http://127.0.0.1:9/v1', model: m}}]",
        "targets: [{name: vendor, completions: DIR/replies.jsonl}]",
    ],
)
@pytest.mark.parametrize("verb", ["run", "evaluate"])
def test_strangers_are_not_asked_the_embedded_prompts_unless_they_are_named(
    refused: Check, tmp_path: Path, asked: str, verb: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "replies.jsonl").write_text("{}\n")
    asked = asked.replace("DIR", str(tmp_path / "model"))
    if verb == "evaluate" and asked.startswith("model"):
        asked += "\ntargets: [{name: base, role: null}]"
    found = refused(asked, verb=verb)
    assert "evaluation.suites: no suites are named" in found
    assert "`playsafe suites`" in found
    named = "\nevaluation: {suites: [{name: harmful, path: 'tiny:harmful'}]}\n"
    if "endpoint" not in asked and "someone" not in asked:
        assert "no suites" not in refused(asked + named, verb=verb)  # the next thing that is wrong


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}\n", "roles:\nevaluation: {}\n", "---\n"])
@pytest.mark.parametrize("verb", ["run", "evaluate", "plan", "train"])
def test_an_empty_study_is_no_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, verb: str
) -> None:
    (tmp_path / "study.yaml").write_text(text)
    assert playsafe(verb, str(tmp_path / "study.yaml"), "--set", f"output_dir={tmp_path / 'out'}") == 2
    assert "the study's file is empty" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_pissa_adapter_is_no_reference(refused: Check, tmp_path: Path) -> None:
    adapter = tmp_path / "pissa"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "init_lora_weights": "pissa"})
    )
    assert "changes the base weights" in refused(f"model: {{adapter: {adapter}}}\n")
    assert "changes the base weights" in refused(
        "training: {lora: {init_lora_weights: pissa}}\n", verb="train"
    )


def test_adapters_that_are_pickled_or_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from peft import LoraConfig, get_peft_model

    other = get_peft_model(random_model("llama", 64), LoraConfig(r=2, target_modules=["q_proj"]))
    other.save_pretrained(tmp_path / "other")
    pickled = tmp_path / "pickled"
    other.save_pretrained(pickled)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    for name, message in (("other", "does not fit the model"), ("pickled", "reads no pickled weights")):
        command = [
            "evaluate",
            "--adapter",
            f"{name}={tmp_path / name}",
            "--out",
            str(tmp_path / "out"),
            "--quiet",
        ]
        assert (
            playsafe(*command, "--set", "evaluation.suites=[{name: dark, path: 'tiny:dark', limit: 2}]") == 2
        )
        said = capsys.readouterr().err
        assert message in said
        assert "Traceback" not in said


def test_output_directory_of_another_study(refused: Check, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    stored = json.dumps({"schema": 1, "weights": "another", "template": "x"})
    (out / "config.yaml").write_text(stored)
    assert "belongs to another study" in refused("")
    assert (out / "config.yaml").read_text() == stored
    assert [path.name for path in out.iterdir()] == ["config.yaml"]


def test_output_directory_with_foreign_files(refused: Check, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert "holds other files" in refused("")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_help_is_light() -> None:
    """`playsafe --help` loads no torch."""
    code = (
        "import sys, playsafe.cli.app as c\n"
        "try: c.app(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout
