"""The page docs/api.md: its example runs, and its table names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import playsafe
from conftest import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLE, METHOD = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.mark.slow
def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLE, "docs/api.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("19 jobs, {'done': 0")
    assert said[1] == "{}"
    assert sum("harmful" in line for line in said) == 4  # base and three arms
    assert said[-1].startswith("Stat(value=")


def test_the_method_of_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page_method.py").write_text(METHOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    from playsafe import methods
    from playsafe.streams import of_loss

    method = methods.get("page_method:METHOD")
    loss = methods.loss_of(method, method.Options())
    assert [(term.name, term.weight) for term in loss] == [("ce", 1.0), ("anchor", 0.5)]
    assert list(of_loss(method, loss, "here")) == ["role"]


def test_every_name_is_on_the_page() -> None:
    for name in playsafe.__all__:
        assert callable(getattr(playsafe, name))
        assert f"`{name}" in PAGE
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = playsafe.nothing


def test_planning_and_reading_load_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, playsafe\n"
        f"study = playsafe.load_study(None, [], {{'output_dir': {str(tmp_path)!r}}})\n"
        "assert len(playsafe.plan(study).jobs) > 50\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
