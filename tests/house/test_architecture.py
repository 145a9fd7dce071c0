"""The architecture, held by the syntax trees: imports point down, each duty has one place."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from conftest import ROOT
from playsafe import metrics
from playsafe.config import load_study
from playsafe.records import Outcome

SOURCE = ROOT / "src" / "playsafe"
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    {"records", "errors"},
    {"settings", "matters", "progress", "provenance", "rundir", "statistics", "thoughts"},
    {"registry"},
    {"config"},
    {"objectives"},
    {"terms"},
    {"data", "models", "tiny"},
    {"answers", "likelihood", "sources"},
    {"endpoint"},
    {"scoring"},
    {"methods", "edits", "decoders", "attacks", "judges", "metrics", "voice", "faults", "gap"},
    {"streams", "scorers", "probes", "targets", "gates"},
    {"training", "evaluation", "results"},
    {"study", "report"},
    {"executors"},
    {"api"},
    {"cli"},
)
SAME = {  # who may import whom within a layer
    ("models", "data"),
    ("models", "tiny"),
    ("tiny", "data"),
    ("tiny", "models"),
    ("metrics", "judges"),
    ("faults", "judges"),
}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Parts of playsafe that a file imports, wherever in it; `if TYPE_CHECKING` does not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "playsafe":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("playsafe."):
            found.add(str(node.module).split(".")[1])
    return found & LEVEL.keys()


def calls(path: Path, name: str) -> bool:
    return any(
        isinstance(node, ast.Call) and (ast.unparse(node.func).split(".")[-1] == name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_all_parts_have_a_layer() -> None:
    assert len(FILES) > 40
    assert {part(path) for path in FILES} - {"__init__"} == LEVEL.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    own = part(path)
    if own == "__init__":
        return
    for other in imported(ast.parse(path.read_text(encoding="utf-8"))):
        allowed = other == own or (own, other) in SAME or LEVEL[other] < LEVEL[own]
        assert allowed, f"{own} imports {other}"


@pytest.mark.parametrize(
    ("call", "places"),
    [
        ("from_pretrained", {"models/loading.py", "models/adapters.py"}),
        ("apply_chat_template", {"data/template.py"}),
        (
            "print",
            {
                "cli/gap.py",
                "cli/plan.py",
                "cli/runs.py",
                "cli/lists.py",
                "cli/screen.py",
                "cli/__init__.py",
                "tiny/build.py",
            },
        ),
        ("write_text", {"rundir.py", "report/page.py", "tiny/build.py", "tiny/demo.py", "tiny/pairs.py"}),
    ],
)
def test_each_duty_has_one_place(call: str, places: set[str]) -> None:
    found = {str(path.relative_to(SOURCE)) for path in FILES if calls(path, call)}
    assert found == places


SAID = {  # words that are names of metrics and mean something else where they stand
    ("judges/guard.py", "refusal"),  # a key of a guard's answer
    ("answers.py", "refusal"),  # a field of a server's message
    ("data/fitting.py", "truncated"),  # what became of a row
    ("results/outcomes.py", "softened"),  # outcomes in the past tense
    ("results/outcomes.py", "lectured"),
    ("report/sections.py", "immersion"),  # a section of the page
}


def test_metrics_are_named_in_their_own_files_alone() -> None:
    """Outcomes ("safe") are words of their own; whatever a page or a gate knows is read of the metric."""
    names = set(metrics.names()) - set(get_args(Outcome))
    found = set()
    for path in FILES:
        place = str(path.relative_to(SOURCE))
        if not place.startswith("metrics/") and place != "config/evaluation.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {
                (place, node.value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and node.value in names
            }
    templates = SOURCE / "report" / "templates"
    for path in templates.glob("*.html"):
        tags = " ".join(re.findall(r"{[{%].*?[}%]}", path.read_text(encoding="utf-8")))
        found |= {(path.name, word) for word in re.findall(r"['\"](\w+)['\"]", tags) if word in names}
    assert found == SAID


def test_files_fit_in_the_head() -> None:
    for path in FILES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 350, f"{path.name} has {lines} lines"


@pytest.mark.parametrize(
    "module",
    [
        *("playsafe.results", "playsafe.report", "playsafe.cli", "playsafe.config", "playsafe.statistics"),
        *("playsafe.evaluation", "playsafe.judges"),
    ],
)
def test_light_modules_import_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}; assert 'torch' not in sys.modules; assert 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_module_imports(path: Path) -> None:
    name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)


def test_every_configuration_loads() -> None:
    paths = [*sorted((ROOT / "configs").glob("*.yaml")), SOURCE / "tiny" / "quickstart.yaml"]
    assert len(paths) >= 9
    for path in paths:
        study = load_study(path)
        assert study.methods, path


def test_golden_configurations_hold_the_papers_settings() -> None:
    for backbone in ("llama-3-8b", "gemma-2-9b", "qwen2.5-7b"):
        lora = load_study(ROOT / "configs" / f"{backbone}-lora.yaml").training
        full = load_study(ROOT / "configs" / f"{backbone}-full.yaml").training
        assert lora.lora is not None
        assert (lora.lora.r, lora.lora.lora_alpha, lora.lora.target_modules) == (32, 64, ["q_proj", "v_proj"])
        assert full.lora is None
        assert (lora.learning_rate, full.learning_rate) == (1e-4, 2e-5)
        for training in (lora, full):
            assert training.per_device_train_batch_size * training.gradient_accumulation_steps == 32
            assert (training.lr_scheduler_type, training.num_train_epochs) == ("constant", 1)


def test_golden_configurations_hold_mpos_settings() -> None:
    """β, learning rate and dominant language per backbone as in the released configurations."""
    expected = {
        "llama-3.1-8b": (1.0, 6e-7, "en"),
        "gemma-2-9b": (1.5, 4e-7, "en"),
        "qwen2.5-7b": (1.5, 6e-7, "zh"),
    }
    for backbone, (beta, rate, dominant) in expected.items():
        study = load_study(ROOT / "configs" / f"{backbone}-mpo.yaml")
        training = study.training
        assert study.roles is None
        assert study.pairs is not None
        assert (study.pairs.dominant, training.lora, training.learning_rate) == (dominant, None, rate)
        assert (training.num_train_epochs, training.lr_scheduler_type) == (2, "cosine")
        assert training.warmup_steps == 0.1
        assert study.methods[0].options == {"beta": beta}
        for method in study.methods:
            method.parsed()
        for judge in study.evaluation.judges:
            judge.parsed()


def test_paper_table_names_things_that_exist() -> None:
    """Every function and test that docs/papers.md names is there."""
    text = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    functions = sorted(set(re.findall(r"`(playsafe(?:\.\w+)+)`", text)))
    tests = sorted(set(re.findall(r"`(test_\w+)`", text)))
    assert len(functions) >= 7
    assert len(tests) >= 4
    for function in functions:
        module, _, name = function.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), function
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for test in tests:
        assert f"def {test}(" in sources, test
