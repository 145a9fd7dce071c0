"""What must hold of weights: every one came from the files, every one is finite, none was changed on the way.

transformers and PEFT leave what a file does not have as it was made, at random, and go on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playsafe.errors import BadInput, in_words

# towers of models that also see or hear, and heads that draft several tokens: no part of a text model
_OTHER_PARTS = ("vision", "visual", "audio", "multi_modal", "image", "mtp")


def refuse_no_settings(path: Path) -> None:
    """BadInput where a file of settings is there and holds no object, or numbers that are none: libraries go
    on with what they have."""
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"broken JSON: {in_words(error)}.", where=str(path)) from None
    if not isinstance(found, dict):
        raise BadInput("the file holds no settings.", where=str(path))


def _constant(name: str) -> float:
    if name == "NaN":
        raise ValueError("NaN is no number")
    return float(name)  # some architectures have limits without end


def refuse_unloaded(info: Mapping[str, Any], where: str) -> None:
    """BadInput that names what did not load. info: transformers' loading info."""
    unused = [name for name in info["unexpected_keys"] if not _of_another_part(name)]
    shapes = [str(one[0] if isinstance(one, tuple) else one) for one in info["mismatched_keys"]]
    for what, names in (
        ("the model has weights that the files do not hold", info["missing_keys"]),
        ("the files hold weights that the model does not have", unused),
        ("weights have another shape than the model's", shapes),
    ):
        if names:
            raise BadInput(
                f"{what}: {listed(names)}.",
                where=where,
                next="Its config.json describes another model than its weights, or a file is incomplete.",
            )


def refuse_other_architecture(model: Any, where: str) -> None:
    """BadInput where config.json names the class of another family than its own `model_type`.

    Such weights may load without a gap and mean something else."""
    import transformers

    config = model.config
    for name in config.architectures or ():
        made_for = getattr(getattr(transformers, name, None), "config_class", None)
        family = getattr(made_for, "model_type", config.model_type)
        if family != config.model_type and type(config) is not made_for:
            raise BadInput(
                f"config.json says model_type {config.model_type!r} and names {name}, "
                f"which is of the type {family!r}.",
                where=where,
                next="Set both to the architecture that the weights were trained in.",
            )


def refuse_infinite(tensors: Iterable[tuple[str, Tensor]], where: str) -> None:
    """BadInput that names the weights that hold NaN or infinity."""
    bad = [name for name, t in tensors if t.is_floating_point() and not bool(t.isfinite().all())]
    if bad:
        raise BadInput(f"weights are not finite: {listed(bad)}.", where=where, next="The file is broken.")


@torch.no_grad()
def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Hash of weights by their bits: of each tensor the sums over its rows and over its columns.

    Two changes that cancel in both are not seen; one that training or an adapter makes is.
    """
    total = hashlib.sha256()
    for name, tensor in tensors:
        whole = tensor.detach()
        whole = whole.full_tensor() if hasattr(whole, "full_tensor") else whole  # sharded by FSDP2
        total.update(f"{name}:{tuple(whole.shape)}:{whole.dtype}".encode())
        if not whole.numel():
            continue
        bits = whole.contiguous().view(_BITS[whole.element_size()])
        table = bits.reshape(len(bits), -1) if bits.dim() else bits.reshape(1, 1)
        for axis in (0, 1):
            total.update(table.sum(axis, dtype=torch.int64).cpu().numpy().tobytes())
    return total.hexdigest()


def listed(names: Iterable[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    every = sorted(names)
    more = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(every[:shown]) + more


_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _of_another_part(name: str) -> bool:
    return any(part.startswith(_OTHER_PARTS) for part in name.split("."))
