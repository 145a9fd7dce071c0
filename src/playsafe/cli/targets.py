"""Targets from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playsafe.errors import BadInput


def parse_targets(
    adapters: Sequence[str],
    completions: Sequence[str],
    endpoint: str | None,
    model: str | None,
    key: str | None = None,
) -> list[dict[str, Any]]:
    """Targets from the command line: NAME=PATH or NAME@ROLE=PATH; a server is named "endpoint"."""
    found: list[dict[str, Any]] = []
    for option, listed in (("adapter", adapters), ("completions", completions)):
        for text in listed:
            who, sign, path = text.partition("=")
            name, _, role = who.partition("@")
            if not sign or not name or not path:
                raise BadInput(
                    f"--{option} {text!r} is not of the form NAME=PATH.", allowed="NAME=PATH, NAME@ROLE=PATH"
                )
            found.append({"name": name, option: path, "role": role or None})
    if (endpoint is None) != (model is None):
        raise BadInput("--endpoint and --endpoint-model go together.", next="Give both.")
    if key is not None and endpoint is None:
        raise BadInput("--endpoint-key is a server's.", next="Give --endpoint, too.")
    if endpoint is not None:
        server = {"base_url": endpoint, "model": model} | ({"api_key_env": key} if key else {})
        found.append({"name": "endpoint", "endpoint": server})
    return found
