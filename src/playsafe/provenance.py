"""Versions, hashes and devices that travel with every result."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

READ = {".json", ".safetensors", ".jinja", ".model", ".txt", ".tiktoken", ".py"}  # of a model's directory
PACKAGES = ("playsafe", "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "numpy")


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "source"
    return found


def environment() -> dict[str, Any]:
    """Versions, and the device where something computes; no host name, no path, no user."""
    found = {"versions": versions(), "system": platform.system(), "machine": platform.machine()}
    if (torch := sys.modules.get("torch")) is not None:
        cuda = torch.cuda.is_available()
        found |= {
            "device": torch.cuda.get_device_name(0) if cuda else "cpu",
            "threads": torch.get_num_threads(),
        }
    return found | {"cores": os.cpu_count()}


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes (hex)."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def named_hash(name_or_path: str, revision: str | None = None) -> str:
    """The hash of a local model directory; a hub id with its revision where there is none."""
    path = Path(name_or_path).expanduser()
    return model_hash(path) if path.is_dir() else f"{name_or_path}@{revision or 'main'}"


def model_hash(path: Path) -> str:
    """SHA-256 over everything that is read of a local model or adapter directory: configuration, weights,
    tokenizer, chat templates, code."""
    total = hashlib.sha256()
    for file in _read_of(path):
        total.update(f"{file.relative_to(path).as_posix()}:{file_hash(file)}\n".encode())
    return total.hexdigest()[:16]


def _read_of(path: Path) -> list[Path]:
    inside = [*path.iterdir(), *path.glob("additional_chat_templates/*")]
    return sorted(f for f in inside if f.is_file() and f.suffix in READ and f.name != "training.json")


def by_content(setting: Any) -> Any:
    """Settings with every file or directory that they name replaced by a hash of what it holds."""
    if isinstance(setting, dict):
        return {key: by_content(value) for key, value in setting.items()}
    if isinstance(setting, list):
        return [by_content(value) for value in setting]
    if not isinstance(setting, str) or not ("/" in setting or "." in setting):
        return setting
    path = Path(setting).expanduser()
    if "{role}" in path.name:  # a file for each role
        found = sorted(path.parent.glob(path.name.replace("{role}", "*")))
    else:
        found = [path] if path.is_file() or path.is_dir() else []
    return [_held(one) for one in found] or setting


def _held(path: Path) -> Any:
    """A file's hash; of a directory those of its small files, and the sizes of the others (weights)."""
    if path.is_file():
        return file_hash(path)
    files = [file for file in sorted(path.iterdir()) if file.is_file()]
    small = {f.name: file_hash(f) for f in files if f.stat().st_size < 1 << 20}
    return small | {f.name: f.stat().st_size for f in files if f.name not in small}
