"""What holds for every known suite, by enumeration of the catalogue; with the real files where they lie."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import ClassVar, get_args

import pytest

from playsafe.config import SuiteKind
from playsafe.data import catalogue
from playsafe.data.language import LANGUAGES, main_language
from playsafe.errors import BadInput

EXPECTED = [
    "advbench",
    "beavertails",
    "harmbench",
    "harmbench-contextual",
    "hex-phi",
    "jailbreakbench",
    "jailbreakbench-benign",
    "mgsm",
    "multijail",
    "rolebench-raw",
    "rolebench-spe",
    "rolebench-spe-95",
    "strongreject",
    "xsafety",
    "xstest",
    "xstest-unsafe",
]
PINNED = [name for name in EXPECTED if name != "hex-phi"]


def language(name: str) -> str | None:
    return next(iter(catalogue.get(name).languages), None)


def test_the_folder_is_the_registry() -> None:
    files = sorted(p.stem for p in (Path(catalogue.__file__).parent / "known").glob("*.yaml"))
    assert sorted(catalogue.names()) == files == EXPECTED
    with pytest.raises(BadInput, match="Did you mean 'advbench'"):
        catalogue.get("advbensh")


@pytest.mark.parametrize("name", EXPECTED)
def test_an_entry_says_what_it_is(name: str) -> None:
    known = catalogue.get(name)
    assert known.kind in get_args(SuiteKind)
    assert known.title
    assert known.licence
    assert known.source.startswith("arXiv ")
    assert known.obtain
    assert bool(known.column) != bool(known.languages)
    assert known.rows > 0
    assert {file.language for file in known.files} in ({""}, set(known.languages))
    assert set(known.languages) <= LANGUAGES
    for file in known.files:
        assert file.sha256 is None if name == "hex-phi" else len(str(file.sha256)) == 64


@pytest.mark.slow
@pytest.mark.parametrize("name", PINNED)
def test_the_real_file_is_found_by_its_hash_and_read(shared: Path, name: str) -> None:
    known = catalogue.get(name)
    suite = catalogue.load(known, data_dir=str(shared / "data"), language=language(name))
    assert len(suite.prompts) == known.rows
    assert len({prompt.id for prompt in suite.prompts}) == known.rows
    assert all(prompt.messages[-1].content.strip() for prompt in suite.prompts)
    assert all(bool(prompt.references) == (known.kind in ("references", "task")) for prompt in suite.prompts)
    assert str(known.files[0].sha256) in suite.source
    few = catalogue.load(known, data_dir=str(shared / "data"), language=language(name), limit=7, seed=3)
    assert len(few.prompts) == 7
    assert set(few.prompts) < set(suite.prompts)
    assert "limit=7, seed=3" in few.source
    other = catalogue.load(known, data_dir=str(shared / "data"), language=language(name), limit=7, seed=4)
    assert other.sha256 != few.sha256


@pytest.mark.parametrize("name", EXPECTED)
def test_an_absent_file_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    known = catalogue.get(name)
    with pytest.raises(BadInput, match="was not found") as error:
        catalogue.load(known, data_dir=str(tmp_path), language=language(name))
    assert known.obtain.split()[-1] in str(error.value)


@pytest.mark.parametrize("name", PINNED)
def test_another_file_of_that_name_is_refused(name: str, tmp_path: Path) -> None:
    known = catalogue.get(name)
    (tmp_path / known.files[0].name).write_text("goal\nsomething else\n")
    with pytest.raises(BadInput, match="is not the file that"):
        catalogue.load(known, data_dir=str(tmp_path), language=language(name))


def test_hex_phi_is_read_from_the_users_copy_and_its_hashes_are_recorded(tmp_path: Path) -> None:
    known = catalogue.get("hex-phi")
    for number, file in enumerate(known.files):
        (tmp_path / file.name).write_text("".join(f'"placeholder {number}, {row}"\n' for row in range(30)))
    suite = catalogue.load(known, path=str(tmp_path))
    assert len(suite.prompts) == known.rows == 300
    assert suite.prompts[0].messages[0].content == "placeholder 0, 0"
    assert suite.source.count("sha256") == 10
    (tmp_path / known.files[3].name).unlink()
    with pytest.raises(BadInput, match="LLM-Tuning-Safety/HEx-PHI"):
        catalogue.load(known, path=str(tmp_path))


def test_one_file_is_not_ten(tmp_path: Path) -> None:
    (tmp_path / "category_1.csv").write_text("a placeholder\n")
    with pytest.raises(BadInput, match="lies in 10 files"):
        catalogue.load(catalogue.get("hex-phi"), path=str(tmp_path / "category_1.csv"))


def test_multijail_has_ten_languages_over_the_same_prompts(shared: Path) -> None:
    known = catalogue.get("multijail")
    assert len(known.languages) == 10
    loaded = {
        code: catalogue.load(known, data_dir=str(shared / "data"), language=code) for code in known.languages
    }
    assert {len(suite.prompts) for suite in loaded.values()} == {315}
    assert len({suite.sha256 for suite in loaded.values()}) == 10
    assert [p.id for p in loaded["sw"].prompts] == [p.id for p in loaded["en"].prompts]


def test_mgsm_has_the_same_answers_in_eleven_languages(shared: Path) -> None:
    known = catalogue.get("mgsm")
    loaded = {
        code: catalogue.load(known, data_dir=str(shared / "data"), language=code) for code in known.languages
    }
    assert len(loaded) == 11
    assert {len(suite.prompts) for suite in loaded.values()} == {250}
    assert {tuple(p.references for p in suite.prompts) for suite in loaded.values()} == {
        tuple(p.references for p in loaded["en"].prompts)
    }
    assert len({suite.sha256 for suite in loaded.values()}) == 11
    assert sum(any(quote in p.messages[0].content for quote in '"') for p in loaded["es"].prompts) == 1
    one = catalogue.load(known, path=str(shared / "data/mgsm/mgsm/mgsm_sw.tsv"), language="sw")
    assert [p.messages for p in one.prompts] == [p.messages for p in loaded["sw"].prompts]


@pytest.mark.slow
def test_xsafety_has_fourteen_categories_in_ten_languages(shared: Path) -> None:
    known = catalogue.get("xsafety")
    assert list(known.languages) == ["en", "zh", "ar", "es", "fr", "ru", "de", "ja", "hi", "bn"]
    for code in known.languages:
        suite = catalogue.load(known, data_dir=str(shared / "data"), language=code)
        sizes = Counter(prompt.category for prompt in suite.prompts)
        assert len(sizes) == 14
        assert len(suite.prompts) == (2799 if code == "ru" else 2800)  # one line of its Insult is empty
        assert all(size == 199 if (code, label) == ("ru", "Insult") else 200 for label, size in sizes.items())
        assert main_language(prompt.messages[0].content for prompt in suite.prompts[::50]) == code
    one = catalogue.load(
        known, data_dir=str(shared / "data"), language="bn", subset="category=Mental_Health", limit=9
    )
    assert {prompt.category for prompt in one.prompts} == {"Mental_Health"}
    folder = next((shared / "data/xsafety").rglob("sp")) / "commonsense.csv"
    with pytest.raises(BadInput, match="lies in 14 files"):
        catalogue.load(known, path=str(folder), language="es")


def test_roles_of_rolebench(shared: Path) -> None:
    sizes = {}
    for name in ("rolebench-raw", "rolebench-spe", "rolebench-spe-95"):
        suite = catalogue.load(catalogue.get(name), data_dir=str(shared / "data"))
        sizes[name] = Counter(prompt.category for prompt in suite.prompts)
    assert [len(found) for found in sizes.values()] == [10, 10, 95]
    assert set(sizes["rolebench-raw"].values()) == {500}
    assert set(sizes["rolebench-spe-95"].values()) == {50}
    assert sizes["rolebench-raw"].keys() == sizes["rolebench-spe"].keys()


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download of one file asks for."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        content = self.files.get(self.path.split("?")[0])
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{len(content):040d}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


FETCH = """
from playsafe.data import catalogue
from playsafe.errors import BadInput
try:
    print(len(catalogue.load(catalogue.get("multijail"), language="en", hub=True).prompts))
except BadInput as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("right", [True, False])
def test_a_file_comes_from_the_hub_and_its_hash_is_checked(shared: Path, tmp_path: Path, right: bool) -> None:
    content = (
        (shared / "data/multijail/MultiJail.csv").read_bytes() if right else b"id,en\n1,something else\n"
    )
    Hub.files = {"/datasets/DAMO-NLP-SG/MultiJail/resolve/main/MultiJail.csv": content}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path),
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run([sys.executable, "-c", FETCH], env=environment, capture_output=True, text=True)
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip() == "315") if right else ("is not the file" in done.stdout)
