"""Sentences and warnings made by rules from the numbers; a null result always says what it could hide."""

from __future__ import annotations

from playsafe.report.analysis import Numbers, Stat
from playsafe.report.load import BASE, Run, StudyRuns
from playsafe.report.markup import DASH, ends, number, percent
from playsafe.report.tables import NAMES, UNITS, shown

MANY = 0.05  # shares of cut or degenerate replies above this are warned about


def signed(value: float, digits: int = 1) -> str:
    return f"{value + 0.0:+.{digits}f}".replace("-", "−")


def change(stat: Stat, scale: float = 100, unit: str = " points", digits: int = 1) -> str:
    """ "−38.1 points [−60.0, −12.4]", or that nothing was detected and how much could be there."""
    value, low, high = (scale * x for x in stat[:3])
    numbers = f"{signed(value, digits)}{unit} [{signed(low, digits)}, {signed(high, digits)}]"
    if low <= 0 <= high:
        return f"no difference detected ({numbers}; up to {max(-low, high):.{digits}f}{unit})"
    return numbers


def verdict(numbers: Numbers) -> list[str]:
    """What the study found: plain fine-tuning against the aligned model, then the remedy against it."""
    runs = numbers.runs
    base = numbers.mean(BASE, "refusal")
    if not runs.methods:
        return [
            f"Only the aligned model is evaluated yet: it refuses {shown(base, 'share')} of harmful prompts."
        ]
    if not runs.suites("harmful"):
        return ["Refusal was not measured: the study has no suite of harmful prompts."]
    sft = runs.first_method("sft")
    sentences = []
    if sft:
        sentences.append(_loss(numbers, sft))
    remedy = runs.first_method("sarft") or next((method for method in runs.methods if method != sft), None)
    if remedy:
        sentences.append(_remedy(numbers, remedy, sft or BASE))
    return [sentence for sentence in sentences if sentence]


def _loss(numbers: Numbers, sft: str) -> str:
    runs = numbers.runs
    roles = numbers.common((sft, BASE), "refusal")
    before, after = (numbers.mean(method, "refusal", roles) for method in (BASE, sft))
    stat = numbers.difference(sft, BASE, "refusal")
    if stat is None or before is None or after is None:
        return f"{sft} could not be compared with the aligned model: one of them has no refusal rate."
    over = f"over {len(roles)} roles" if len(roles) > 1 else f"for {roles[0]}"
    if stat.high < 0:
        what = f"Role-play fine-tuning ({sft}) lowered refusal of harmful prompts"
    elif stat.low > 0:
        what = f"Role-play fine-tuning ({sft}) raised refusal of harmful prompts"
    else:
        what = f"Role-play fine-tuning ({sft}) and refusal of harmful prompts:"
    sentence = f"{what} {over}: {percent(before.value)} → {percent(after.value)}, {change(stat)}"
    parts = []
    if len(runs.tempers) > 1:
        for temper in runs.tempers:
            found = numbers.difference(sft, BASE, "refusal", runs.of_temper(temper))
            if found is not None:
                parts.append(f"{temper or 'untagged'} {signed(100 * found.value)}")
    return sentence + (f"; by temper: {', '.join(parts)} points." if parts else ".")


def _remedy(numbers: Numbers, remedy: str, against: str) -> str:
    safety = numbers.difference(remedy, against, "refusal")
    if safety is None:
        return f"{remedy} has no refusal rate to compare with {against} yet."
    if safety.low > 0:
        what = f"{remedy} refuses more than {against}"
    elif safety.high < 0:
        what = f"{remedy} refuses less than {against}"
    else:
        what = f"{remedy} against {against}"
    return f"{what}: {change(safety)}{_quality(numbers, remedy, against)}."


def _quality(numbers: Numbers, remedy: str, against: str) -> str:
    stat = numbers.difference(remedy, against, "rouge_l")
    if stat is None:
        return "; role-play quality was not measured"
    names = dict.fromkeys((remedy, against, BASE))
    roles = numbers.common((remedy, against), "rouge_l")
    means = {name: numbers.mean(name, "rouge_l", roles) for name in names}
    each = ", ".join(f"{name} {mean.value:.3f}" for name, mean in means.items() if mean is not None)
    return f"; ROUGE-L {each}: {change(stat, 1, '', 3)}"


def correlation(numbers: Numbers) -> str:
    """The sentence under the scatter of flagged share against lost safety."""
    points, sft = numbers.lost(), numbers.runs.first_method("sft")
    rho = numbers.correlation()
    if sft is None:
        return "No correlation: the study has no plain fine-tuning (sft)."
    if rho is None:
        why = "fewer than four roles" if len(points) < 4 else "one side does not vary"
        return f"No correlation: {why} (n = {len(points)} roles)."
    sentence = (
        f"Spearman ρ = {signed(rho.value, 2)} [{signed(rho.low, 2)}, {signed(rho.high, 2)}] "
        f"over n = {len(points)} roles (bootstrap over roles)"
    )
    if rho.high < 0:
        return f"{sentence}: the more rows are flagged, the more refusal {sft} loses."
    if rho.low > 0:
        return f"{sentence}: the more rows are flagged, the less refusal {sft} loses."
    return f"{sentence}: no association detected."


def warnings(numbers: Numbers) -> list[str]:
    """What a reader must know before trusting the numbers."""
    runs = numbers.runs
    every = (*runs.base, *runs.trained)
    found = []
    if len(runs.seeds) == 1:
        found.append(
            "One training seed: differences between methods may be luck of the seed; use three or more."
        )
    missing = _missing(runs)
    if missing:
        found.append(f"{len(missing)} of the study's runs are not finished: {_some(missing)}.")
    for metric, what in (
        ("truncated", "cut by max_new_tokens"),
        ("degenerate", "degenerate (empty, looping)"),
    ):
        high = sorted(_high(every, metric), reverse=True)
        if high:
            worst = f"most in {high[0][1]}: {percent(high[0][0])}"
            found.append(f"More than {MANY:.0%} of the replies are {what} in {len(high)} sets, {worst}.")
    failed = [
        (e.errors, f"{run.label} · {e.suite} · {e.metric}")
        for run in every
        for e in run.estimates
        if e.errors and e.metric != "in_character"  # asked of refusals only, and never of the base
    ]
    if failed:
        found.append(
            f"Replies without a verdict (left out, never counted as safe): {_some([x for _, x in failed])}."
        )
    base = numbers.mean(BASE, "refusal")
    if base is not None and base.value < 0.5:
        found.append(
            f"The aligned model itself refuses only {percent(base.value)}: there is little safety to lose."
        )
    versions = sorted({run.version for run in every if run.version})
    if len(versions) > 1:
        found.append(f"The runs were made by different versions: {', '.join(versions)}.")
    return found


def _missing(runs: StudyRuns) -> list[str]:
    """Cells of the grid without a summary; roles nobody has started are known only from the study file."""
    named = (runs.study.get("roles") or {}).get("names") or []
    roles = list(dict.fromkeys([*runs.roles, *(str(name) for name in named)]))
    seeds = list(runs.study.get("seeds") or runs.seeds)
    methods = list(runs.configured_methods) or runs.methods
    done = {(run.role, run.method, run.seed) for run in runs.trained}
    cells = [(r, m, s) for r in roles for m in methods for s in seeds if (r, m, s) not in done]
    missing = [f"{role} · {method} · seed {seed}" for role, method, seed in cells]
    return missing or list(runs.unfinished)


def _high(every: tuple[Run, ...], metric: str) -> list[tuple[float, str]]:
    return [
        (e.value, f"{run.label} · {e.suite}")
        for run in every
        for e in run.estimates
        if e.metric == metric and e.value is not None and e.value > MANY
    ]


def _some(items: list[str], limit: int = 4) -> str:
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")


def headlines(numbers: Numbers) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Per method: (name, value, interval) of the three measures, means over roles."""
    found = []
    for method in [BASE, *numbers.runs.methods]:
        stats = {metric: numbers.mean(method, metric) for metric in UNITS}
        if any(stats.values()):
            rows = [
                (NAMES[m], number(s.value, UNITS[m]), ends(s.low, s.high, UNITS[m]))
                if s
                else (NAMES[m], DASH, "")
                for m, s in stats.items()
            ]
            found.append((method, rows))
    return found
