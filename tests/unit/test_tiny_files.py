"""The embedded world as files: they are what the generator writes, and ordinary loading reads them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from conftest import ROOT
from playsafe.config import DataConfig, RolesConfig, StudyConfig, SuiteConfig
from playsafe.data.pairs import load_pairs
from playsafe.errors import BadInput
from playsafe.sources import role_data, roles, suite
from playsafe.tiny import demo, names
from playsafe.tiny.names import FILES, path_of


def test_the_files_are_what_the_generator_writes() -> None:
    written = dict(demo.files())
    found = {str(path.relative_to(FILES)) for path in FILES.rglob("*.*")}
    assert found == written.keys() | {"pairs-train.jsonl", "pairs-test.jsonl"}
    for name, text in written.items():
        assert (FILES / name).read_text(encoding="utf-8") == text, f"{name}: run python -m playsafe.tiny.demo"


def test_the_files_are_few_and_packed() -> None:
    assert sum(path.stat().st_size for path in FILES.rglob("*.*")) < 3_000_000
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "playsafe"
    ]
    package = FILES.parent.parent
    packed = {path for glob in globs for path in package.glob(glob)}
    assert set(FILES.rglob("*.*")) <= packed


@pytest.mark.parametrize(("cast", "size"), [("tiny", 10), ("tiny:development", 7), ("tiny:random", 20)])
def test_every_role_of_a_cast_has_rows_and_references(cast: str, size: int) -> None:
    found = roles(RolesConfig(path=cast))
    assert len(found) == size
    for role in found:
        data = role_data(DataConfig(), role)
        assert [row.id for row in data.train] == [f"{role.name}/train:{n}" for n in range(demo.ROWS)]
        assert [row.id for row in data.references] == [
            f"{role.name}/references:{n}" for n in range(demo.REFERENCES)
        ]
        assert role.unsafe_prompt.startswith(role.prompt)


def test_rows_are_kept_back_where_the_references_are_not_wanted() -> None:
    (role,) = roles(RolesConfig(names=["Skarn"]))
    given = {"references": None, "held_out": 10, "seed": 1, "limit": 50}
    data = role_data(DataConfig.model_validate(given), role)
    assert (len(data.train), len(data.references)) == (50, 10)
    assert all(row.id.startswith("Skarn/train:") for row in data.references)
    assert DataConfig(path="mine.jsonl").references is None


def test_every_name_is_a_file_and_no_other_is() -> None:
    for what, named in names._NAMED.items():
        for name in named:
            assert Path(path_of(name, what).replace("{role}", "Skarn")).is_file()
        with pytest.raises(BadInput, match=f"no {what} 'tiny:nothing'.*Allowed: tiny"):
            path_of("tiny:nothing", what)
        assert path_of("tinyx.jsonl", what) == "tinyx.jsonl"
    assert len(load_pairs(path_of("tiny", "pairs"), dominant="en")) == 360


def test_every_embedded_suite_can_be_asked() -> None:
    for name in names._NAMED["suite"]:
        found = suite(SuiteConfig(name="x", path=name), StudyConfig().evaluation)
        assert found.prompts[0].id == "x:1"
        assert name.split(":")[1] == found.kind
