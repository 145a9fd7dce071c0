"""What the names of the embedded world stand for: files in `files/`, read like anybody's.

`python -m playsafe.tiny.demo` writes them, `python -m playsafe.tiny.pairs` the pairs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from playsafe.errors import BadInput
from playsafe.tiny.lexicon import LANGUAGES

FILES = Path(__file__).parent / "files"
What = Literal["roles", "rows", "references", "pairs", "held-out pairs", "suite", "demonstrations"]

_SUITES = ["harmful", "benign", "dark"]
_SUITES += [f"{kind}:{code}" for kind in ("harmful", "benign", "task") for code in LANGUAGES]
_NAMED: dict[What, dict[str, str]] = {
    "roles": {"tiny": "roles/demo.yaml"}
    | {f"tiny:{cast}": f"roles/{cast}.yaml" for cast in ("demo", "development", "random")},
    "rows": {"tiny": "rows/{role}.jsonl"},
    "references": {"tiny": "references/{role}.jsonl"},
    "pairs": {"tiny": "pairs-train.jsonl"},
    "held-out pairs": {"tiny": "pairs-test.jsonl"},
    "suite": {f"tiny:{name}": f"suites/{name.replace(':', '.')}.jsonl" for name in _SUITES}
    | {f"tiny:pairs:{code}": "pairs-test.jsonl" for code in LANGUAGES},
    "demonstrations": {"tiny:demonstrations": "demonstrations.jsonl"},
}


def path_of(name: str, what: What, where: str = "") -> str:
    """The path that a name stands for; what is no name of the embedded world is a path already."""
    if name.partition(":")[0] != "tiny":
        return os.path.expanduser(name)
    if name not in _NAMED[what]:
        raise BadInput(
            f"the embedded world has no {what} {name!r}.", where=where, allowed=", ".join(_NAMED[what])
        )
    return str(FILES / _NAMED[what][name])
