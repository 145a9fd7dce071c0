"""Sentences and warnings made by rules from the numbers; a null result always says what it could hide."""

from __future__ import annotations

from playsafe.report.analysis import Numbers, Stat
from playsafe.report.languages import Languages, closing
from playsafe.report.load import BASE
from playsafe.report.markup import DASH, ends, number, percent
from playsafe.report.tables import NAMES, UNITS, measures, points, shown


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
    """What the study found: the distance between languages, then plain fine-tuning against the aligned model
    and the remedy against it (without a role: every method against the aligned model)."""
    runs = numbers.runs
    base = numbers.mean(BASE, "refusal")
    sentences = closing(numbers)
    if not runs.methods:
        only = "Only the aligned model is evaluated yet"
        return [*sentences, f"{only}: it refuses {shown(base, 'share')} of harmful prompts."]
    if not runs.suites("harmful"):
        return ["Refusal was not measured: the study has no suite of harmful prompts."]
    if runs.is_audit:
        return [*sentences, *(_target(numbers, target) for target in runs.methods)]
    if runs.roleless:
        if not sentences:
            what = "Refusal of harmful prompts, "
            sentences = [what + _remedy(numbers, method, BASE) for method in runs.methods]
        return [*sentences, *_cost(numbers)]
    sft = runs.first_method("sft")
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


def _cost(numbers: Numbers) -> list[str]:
    """What every method does to the refusal of benign prompts; nothing where none was asked."""
    found = {method: numbers.difference(method, BASE, "over_refusal") for method in numbers.runs.methods}
    each = [f"{method} {points(stat, 'share')}" for method, stat in found.items() if stat is not None]
    return (
        [f"Refusal of benign prompts, points against the aligned model: {', '.join(each)}."] if each else []
    )


def _target(numbers: Numbers, target: str) -> str:
    """An audited target beside the aligned model, where that was asked too."""
    mean, stat = numbers.mean(target, "refusal"), numbers.difference(target, BASE, "refusal")
    if mean is None:
        return f"{target} has no refusal rate."
    sentence = f"{target} refuses {shown(mean, 'share')} of harmful prompts"
    return f"{sentence}; against the aligned model: {change(stat)}." if stat else f"{sentence}."


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
    if stat is None and "rouge_l" not in measures(numbers.runs):
        return ""
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
        f"over n = {len(points)} roles (Fisher's z)"
    )
    if rho.high < 0:
        return f"{sentence}: the more rows are flagged, the more refusal {sft} loses."
    if rho.low > 0:
        return f"{sentence}: the more rows are flagged, the less refusal {sft} loses."
    return f"{sentence}: no association detected."


def headlines(numbers: Numbers) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Per method: (name, value, interval) of the main measures, means over roles; where there are several
    languages, attack success in the dominant one and in the others stands in the place of refusal."""
    languages = Languages(numbers)
    apart = languages.known
    found = []
    for method in [BASE, *numbers.runs.methods]:
        stats = {NAMES[m]: (numbers.mean(method, m), UNITS[m]) for m in measures(numbers.runs)}
        if apart:
            del stats[NAMES["refusal"]]
            levels = {
                f"attack success, {name}": (stat, "share") for name, stat in languages.levels(method).items()
            }
            stats = levels | stats
        if any(stat for stat, _ in stats.values()):
            rows = [
                (name, number(stat.value, unit), ends(stat.low, stat.high, unit))
                if stat
                else (name, DASH, "")
                for name, (stat, unit) in stats.items()
            ]
            found.append((method, rows))
    return found
