"""Cross-entropy + KL over a large vocabulary: full logits against `fused_ce_kl`, memory and time in one run.

    python benchmarks/ce_kl_loss.py [--quick] [--out results/ce_kl_loss.json]

Each variant runs in a process of its own, so that its peak is its own. "lora": the head is frozen and shared
with the reference. "full": the head is trained and the reference has a clone of it, which counts as input.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from environment import describe
from playsafe.objectives import fused_ce_kl

MODES, VARIANTS = ("lora", "full"), ("naive", "fused")


class Inputs(NamedTuple):
    """The first `flagged` of all tokens carry a KL term."""

    hidden_ND: Tensor
    head_VD: Tensor
    ref_hidden_MD: Tensor
    ref_head_VD: Tensor
    target_N: Tensor


def make_inputs(options: argparse.Namespace, mode: str, device: str) -> Inputs:
    """Filled in place, so that making them leaves no peak behind."""
    torch.manual_seed(0)
    dtype = getattr(torch, options.dtype)

    def normal(rows: int, std: float) -> Tensor:
        return torch.empty(rows, options.hidden, dtype=dtype, device=device).normal_(std=std)

    head_VD, hidden_ND = normal(options.vocab, 0.05), normal(options.tokens, 1.0)
    ref_hidden_MD = hidden_ND[: options.flagged] + normal(options.flagged, 0.3)
    target_N = torch.randint(options.vocab, (options.tokens,), device=device)
    ref_head_VD = head_VD.clone() if mode == "full" else head_VD
    return Inputs(
        hidden_ND.requires_grad_(),
        head_VD.requires_grad_(mode == "full"),
        ref_hidden_MD,
        ref_head_VD,
        target_N,
    )


def naive_loss(inputs: Inputs, direction: str) -> Tensor:
    """Mean CE over all tokens + mean KL over the flagged ones, from all logits at once."""
    logits_NV = (inputs.hidden_ND @ inputs.head_VD.T).float()
    with torch.no_grad():
        logq_MV = (inputs.ref_hidden_MD @ inputs.ref_head_VD.T).float().log_softmax(-1)
    flagged = len(logq_MV)
    logp_MV = logits_NV[:flagged].log_softmax(-1)
    pair = (logp_MV, logq_MV) if direction == "forward" else (logq_MV, logp_MV)
    return (
        F.cross_entropy(logits_NV, inputs.target_N)
        + F.kl_div(*pair, reduction="sum", log_target=True) / flagged
    )


def fused_loss(inputs: Inputs, direction: str, chunk: int) -> Tensor:
    tokens, flagged = len(inputs.hidden_ND), len(inputs.ref_hidden_MD)
    weights_N = torch.full((tokens,), 1 / tokens, device=inputs.hidden_ND.device)
    kl_weight_N = torch.zeros_like(weights_N)
    kl_weight_N[:flagged] = 1 / flagged
    return fused_ce_kl(
        inputs.hidden_ND,
        inputs.head_VD,
        inputs.target_N,
        ce_weight_N=weights_N,
        kl_weight_N=kl_weight_N,
        ref_hidden_ND=inputs.ref_hidden_MD,
        ref_head_weight_VD=inputs.ref_head_VD,
        direction=direction,
        chunk=chunk,
    ).total


def peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(options: argparse.Namespace, mode: str, variant: str) -> dict[str, Any]:
    """One variant in this process: a first pass for memory and values, the others for time."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.threads:
        torch.set_num_threads(options.threads)
    inputs = make_inputs(options, mode, device)
    torch.mm(inputs.hidden_ND[:8].detach(), inputs.hidden_ND[:8].detach().T)  # the library's own buffers
    baseline, seconds, result = peak_bytes(device), [], {}
    for repetition in range(options.repetitions + 1):
        inputs.hidden_ND.grad = inputs.head_VD.grad = None
        start = time.perf_counter()
        if variant == "naive":
            loss = naive_loss(inputs, options.direction)
        else:
            loss = fused_loss(inputs, options.direction, options.chunk)
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        if repetition == 0:
            result = {
                "mode": mode,
                "variant": variant,
                "extra_mb": round((peak_bytes(device) - baseline) / 1e6, 1),
                "loss": loss.item(),
                "hidden_grad_norm": float(torch.linalg.vector_norm(inputs.hidden_ND.grad)),
            }
            if mode == "full":
                result["head_grad_norm"] = float(torch.linalg.vector_norm(inputs.head_VD.grad))
        del loss
    return result | {"seconds": round(statistics.median(seconds[1:]), 3), "all_seconds": seconds[1:]}


def measure_apart(arguments: list[str], mode: str, variant: str) -> dict[str, Any]:
    """The same in a fresh process."""
    command = [sys.executable, __file__, *arguments, "--only", mode, variant]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(naive: dict[str, Any], fused: dict[str, Any]) -> dict[str, Any]:
    """Ratios fused / naive of cost, and relative differences of loss and gradient norms."""
    values = [key for key in ("loss", "hidden_grad_norm", "head_grad_norm") if key in naive]
    return {
        "mode": naive["mode"],
        "memory_ratio": round(fused["extra_mb"] / naive["extra_mb"], 3),
        "time_ratio": round(fused["seconds"] / naive["seconds"], 3),
        "relative_difference": {key: abs(fused[key] / naive[key] - 1) for key in values},
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--flagged", type=int, default=256, help="tokens with a KL term")
    parser.add_argument("--chunk", type=int, default=128)
    parser.add_argument("--direction", choices=("forward", "reverse"), default="forward")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--quick", action="store_true", help="a quarter of every size")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--only", nargs=2, metavar=("MODE", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        for name in ("vocab", "hidden", "tokens", "flagged", "chunk"):
            setattr(options, name, getattr(options, name) // 4)
    return options


def main() -> None:
    options = parse()
    if options.only:
        print(json.dumps(measure(options, *options.only)))
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    runs, ratios = [], []
    print(f"{'':6}{'':8}{'extra MB':>10}{'seconds':>10}{'loss':>12}{'|grad h|':>12}{'|grad W|':>12}")
    for mode in MODES:
        pair = [measure_apart(sys.argv[1:], mode, variant) for variant in VARIANTS]
        for run in pair:
            head = f"{run['head_grad_norm']:12.6f}" if mode == "full" else f"{'-':>12}"
            print(
                f"{mode:6}{run['variant']:8}{run['extra_mb']:10.0f}{run['seconds']:10.2f}{run['loss']:12.6f}"
                f"{run['hidden_grad_norm']:12.6f}{head}"
            )
        ratio = compare(*pair)
        difference = max(ratio["relative_difference"].values())
        costs = f"{ratio['memory_ratio']:10.3f}{ratio['time_ratio']:10.3f}"
        print(f"{mode:6}{'ratio':8}{costs}  largest relative difference {difference:.1e}")
        runs += pair
        ratios.append(ratio)
    if options.out:
        settings = {key: value for key, value in vars(options).items() if key not in ("out", "only")}
        record = {"environment": describe(), "settings": settings, "ratios": ratios, "runs": runs}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
