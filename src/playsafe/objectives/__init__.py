"""The papers' equations as pure tensor functions: no model, no configuration, no device, no logging.

Letters after an underscore name a tensor's axes: N tokens, M tokens with a KL term, V vocabulary, D hidden
size, B rows, T positions. Logarithms are natural (nats). Sums come out; the training step owns the
denominators.

A weight or mask of *positions* at t concerns the prediction made at position t, that is of token t + 1.

Names are imported when they are asked for, so that what only declares a loss loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playsafe.objectives.divergence import *  # noqa: F403
    from playsafe.objectives.fused import *  # noqa: F403
    from playsafe.objectives.head import *  # noqa: F403
    from playsafe.objectives.logprob import *  # noqa: F403
    from playsafe.objectives.pairs import *  # noqa: F403
    from playsafe.objectives.selection import *  # noqa: F403
    from playsafe.objectives.step import *  # noqa: F403

_MODULES = ("selection", "divergence", "fused", "head", "logprob", "pairs", "step")


def __getattr__(name: str) -> Any:
    for module in () if name.startswith("_") else _MODULES:
        found = getattr(import_module(f"{__name__}.{module}"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
