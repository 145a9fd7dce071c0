"""Known prompt suites: one YAML file each in `known/`, and that folder is the registry.

An entry says which file holds the prompts, by name and SHA-256, and how to read it; the prompts themselves
stay where the user keeps them. A file with another hash is refused: its numbers would not be comparable.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import Field

from playsafe.config import SuiteKind
from playsafe.data.files import Row, headless_rows, read_rows
from playsafe.data.suites import Shape, Suite, suite_of
from playsafe.errors import BadInput, nearest
from playsafe.provenance import file_hash
from playsafe.settings import Section, parse_section, read_yaml


class HubFile(Section):
    """A file of a data set on the Hugging Face hub. gated: asks for an agreement and a token first."""

    repo: str
    file: str
    gated: bool = False


class KnownFile(Section):
    """sha256: None where no copy may be passed on, so that nobody can pin it; then it is only recorded.

    language: of a file that holds one of the suite's languages; "" where it holds all. category: the label of
    all of its rows, where the file's name is the label.
    """

    name: str
    sha256: str | None
    hub: HubFile | None = None
    language: str = ""
    category: str = ""


class Known(Section):
    """One entry. column: where the prompt stands; with `languages`, language → column. rows: of one language.

    context: a column that goes in front of the prompt. references: a column with expected replies. category:
    a column of labels; of a "references" suite it names the role. header: the columns of files without one.
    """

    name: str
    title: str
    kind: SuiteKind
    licence: str
    source: str
    rows: int
    files: list[KnownFile] = Field(min_length=1)
    column: str = ""
    languages: dict[str, str] = Field(default_factory=dict)
    context: str | None = None
    references: str | None = None
    category: str | None = None
    subset: str | None = None
    header: list[str] | None = None
    obtain: str


@cache
def _entries() -> dict[str, Known]:
    folder = resources.files("playsafe.data") / "known"
    files = sorted(Path(str(file)) for file in folder.iterdir() if file.name.endswith(".yaml"))
    found = {file.stem: parse_section(Known, read_yaml(file), file.name) for file in files}
    assert all(name == known.name for name, known in found.items())
    return found


def names() -> list[str]:
    """Names of all known suites: the files of the folder."""
    return list(_entries())


def get(name: str, where: str = "") -> Known:
    """The entry of that name; BadInput names the nearest one."""
    if name not in _entries():
        raise BadInput(
            f"{name!r} is no known suite. {nearest(name, names())}",
            where=where,
            allowed=", ".join(names()),
            next="For prompts of your own give `path` and `kind`.",
        )
    return _entries()[name]


def load(
    known: Known,
    *,
    name: str | None = None,
    path: str | None = None,
    data_dir: str | None = None,
    hub: bool = False,
    language: str | None = None,
    subset: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    where: str = "",
) -> Suite:
    """The prompts of a known suite.

    path: its file, or a folder that holds it at any depth. data_dir: such a folder for all suites. hub: fetch
    what lies in neither. subset, limit, seed: as in `load_suite`; the entry's own subset is taken first.

    Raises BadInput: no file of that name and hash, an unknown language, a subset that is empty.
    """
    column = _column(known, language, where)
    rows: list[tuple[str, Row]] = []
    listed = []
    files = [file for file in known.files if file.language in ("", language)]
    for file in files:
        found = _find(known, file, len(files), path, data_dir, hub, where)
        label = {"category": file.category} if file.category else {}
        read = headless_rows(found, known.header) if known.header else read_rows(found)
        rows += [(source, row | label) for source, row in read]
        listed.append(f"{file.name} (sha256 {file_hash(found)})")
    shape = Shape(column, known.category, known.references, known.context)
    subsets = [condition for condition in (known.subset, subset) if condition is not None]
    return suite_of(rows, name or known.name, shape, subsets, limit, seed, ", ".join(listed), where)


def _column(known: Known, language: str | None, where: str) -> str:
    if known.languages:
        if language not in known.languages:
            raise BadInput(
                f"{known.name} needs a language." if language is None else f"there is no {language!r}.",
                where=f"{where}.language",
                allowed=", ".join(known.languages),
            )
        return known.languages[language]
    if language is not None:
        raise BadInput(f"{known.name} is in one language.", where=f"{where}.language", next="Remove the key.")
    return known.column


def _find(
    known: Known,
    file: KnownFile,
    needed: int,
    path: str | None,
    data_dir: str | None,
    hub: bool,
    where: str,
) -> Path:
    """The file with the pinned hash, wherever the user keeps it. needed: how many the suite lies in."""
    given = path or data_dir
    root = Path(given).expanduser() if given else None
    if root is not None and not (root.is_file() or root.is_dir()):
        raise BadInput("there is no such file or folder.", where=f"{where}: {given}", next="Check the path.")
    if root is not None and root.is_file() and needed > 1:
        what = f"{known.name} lies in {needed} files."
        raise BadInput(what, where=f"{where}: {given}", next="Give their folder.")
    candidates = [] if root is None else [root] if root.is_file() else sorted(root.rglob(file.name))
    for candidate in candidates:
        if file.sha256 in (None, file_hash(candidate)):
            return candidate
    if not candidates and hub and file.hub is not None:
        return _fetch(known, file, file.hub, where)
    if candidates:
        what = _another(candidates[0].name, candidates[0], known, file)
        own = f"{known.obtain} To use your version, give it another name with its `path` and `kind`."
        raise BadInput(what, where=where, next=own)
    offer = " Or set evaluation.hub: true." if file.hub is not None and not hub else ""
    raise BadInput(
        f"the file {file.name} of {known.name} was not found{f' under {given}' if given else ''}.",
        where=where,
        next=f"Set evaluation.data_dir or the suite's path. {known.obtain}{offer}",
    )


def _fetch(known: Known, file: KnownFile, hub: HubFile, where: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = Path(hf_hub_download(hub.repo, hub.file, repo_type="dataset"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0][:200]
        raise BadInput(
            f"{hub.repo}/{hub.file} cannot be fetched: {line}",
            where=where,
            next=f"{known.obtain} Gated sets need HF_TOKEN." if hub.gated else known.obtain,
        ) from None
    if file.sha256 not in (None, file_hash(found)):
        what = _another(f"the hub's {hub.file}", found, known, file)
        raise BadInput(what, where=where, next=known.obtain)
    return found


def _another(name: str, found: Path, known: Known, file: KnownFile) -> str:
    """What is wrong with a file of the right name and another content."""
    return (
        f"{name} is not the file that {known.name} means: its sha256 begins {file_hash(found)[:12]}, "
        f"not {str(file.sha256)[:12]}."
    )
