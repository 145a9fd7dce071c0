"""Sentences and warnings made by rules from the numbers; a null result always says what it could hide."""

from __future__ import annotations

from playsafe.metrics import Measure
from playsafe.report.closing import closing
from playsafe.report.text import DASH, apart, ends, number, points, shown, signed, spearman
from playsafe.results.languages import Languages
from playsafe.results.load import BASE
from playsafe.results.numbers import Numbers, Stat

ON = {"harmful": "harmful prompts", "benign": "benign prompts", "dark": "dark prompts"}


def named(metric: Measure) -> str:
    """ "refusal of harmful prompts"."""
    about = ON.get(metric.kinds[0])
    return metric.title + (f" of {about}" if about else "")


def change(stat: Stat, metric: Measure) -> str:
    """ "−38.1 points [−60.0, −12.4]", or that nothing was detected and how much could be there."""
    unit = apart(metric)
    word = {"share": " points", "change": " %", "": ""}.get(unit, f" {unit}")
    value, low, high = (signed(x, unit) for x in stat[:3])
    if stat.low <= 0 <= stat.high:
        most = signed(max(-stat.low, stat.high), unit).removeprefix("+")
        return f"no difference detected ({value}{word} [{low}, {high}]; up to {most}{word})"
    return f"{value}{word} [{low}, {high}]"


def verdict(numbers: Numbers) -> list[str]:
    """What the study found: the distance between languages, then plain fine-tuning against the aligned model
    and the remedy against it (without a role: every method against the aligned model)."""
    runs, safety = numbers.runs, numbers.runs.safety
    sentences = closing(numbers)
    if not runs.methods:
        base = shown(numbers.mean(BASE, safety.name), safety.unit)
        return [*sentences, f"Only the aligned model is evaluated yet: its {named(safety)} is {base}."]
    if not numbers.suites(safety.name):
        return [f"No {safety.title} was measured: the study has no suite of {ON.get(safety.kinds[0])}."]
    if runs.is_audit:
        return [*sentences, *(_target(numbers, target) for target in runs.methods)]
    if runs.roleless:
        own = [] if sentences else [_remedy(numbers, method, BASE) for method in runs.methods]
        return [*sentences, *own, *_cost(numbers)]
    sft = runs.first_method("sft")
    if sft:
        sentences.append(_loss(numbers, sft))
    remedy = runs.first_method("sarft") or next((method for method in runs.methods if method != sft), None)
    if remedy:
        sentences.append(_remedy(numbers, remedy, sft or BASE))
    return sentences


def _moved(stat: Stat) -> str:
    return "lowered" if stat.high < 0 else "raised" if stat.low > 0 else "and"


def _loss(numbers: Numbers, sft: str) -> str:
    runs, safety = numbers.runs, numbers.runs.safety
    roles = numbers.common((sft, BASE), safety.name)
    before, after = (numbers.mean(method, safety.name, roles) for method in (BASE, sft))
    stat = numbers.difference(sft, BASE, safety.name)
    if stat is None or before is None or after is None:
        return f"{sft} could not be compared with the aligned model: one of them has no {safety.title}."
    over = f"over {len(roles)} roles" if len(roles) > 1 else f"for {roles[0]}"
    values = " → ".join(number(one.value, safety.unit) for one in (before, after))
    sentence = (
        f"Role-play fine-tuning ({sft}) {_moved(stat)} {named(safety)} {over}: {values}, "
        f"{change(stat, safety)}"
    )
    parts = []
    for temper in runs.tempers if len(runs.tempers) > 1 else ():
        found = numbers.difference(sft, BASE, safety.name, runs.of_temper(temper))
        if found is not None:
            parts.append(f"{temper or 'untagged'} {signed(found.value, apart(safety))}")
    unit = " points" if safety.is_share else ""
    return sentence + (f"; by temper: {', '.join(parts)}{unit}." if parts else ".")


def _cost(numbers: Numbers) -> list[str]:
    """What every method does to the refusal of benign prompts; nothing where none was asked."""
    found = []
    for metric in numbers.runs.about("over-refusal"):
        stats = {m: numbers.difference(m, BASE, metric.name) for m in numbers.runs.methods}
        each = [f"{m} {points(stat, apart(metric))}" for m, stat in stats.items() if stat is not None]
        if each:
            found.append(
                f"{named(metric).capitalize()}, points against the aligned model: {', '.join(each)}."
            )
    return found


def _target(numbers: Numbers, target: str) -> str:
    """An audited target beside the aligned model, where that was asked too."""
    safety = numbers.runs.safety
    mean, stat = numbers.mean(target, safety.name), numbers.difference(target, BASE, safety.name)
    if mean is None:
        return f"{target} has no {safety.title}."
    sentence = f"{target}: {named(safety)} {shown(mean, safety.unit)}"
    return f"{sentence}; against the aligned model: {change(stat, safety)}." if stat else f"{sentence}."


def _remedy(numbers: Numbers, remedy: str, against: str) -> str:
    safety = numbers.runs.safety
    stat = numbers.difference(remedy, against, safety.name)
    if stat is None:
        return f"{remedy} has no {safety.title} to compare with {against} yet."
    word = {"lowered": "lower", "raised": "higher"}.get(_moved(stat))
    what = f"{named(safety).capitalize()} is {word} with {remedy} than with {against}"
    if word is None:
        what = f"{named(safety).capitalize()}, {remedy} against {against}"
    quality = "".join(_quality(numbers, metric, remedy, against) for metric in numbers.runs.shown)
    return f"{what}: {change(stat, safety)}{quality}."


def _quality(numbers: Numbers, metric: Measure, remedy: str, against: str) -> str:
    """What a remedy does to a shown measure of the play."""
    if metric.aspect != "character":
        return ""
    stat = numbers.difference(remedy, against, metric.name)
    if stat is None:
        return "; role-play quality was not measured"
    names = dict.fromkeys((remedy, against, BASE))
    roles = numbers.common((remedy, against), metric.name)
    means = {name: numbers.mean(name, metric.name, roles) for name in names}
    each = [f"{name} {number(mean.value, metric.unit)}" for name, mean in means.items() if mean is not None]
    return f"; {metric.title} {', '.join(each)}: {change(stat, metric)}"


def correlation(numbers: Numbers) -> str:
    """The sentence under the scatter of flagged share against lost safety."""
    points, sft, title = numbers.lost(), numbers.runs.first_method("sft"), numbers.runs.safety.title
    rho = numbers.correlation()
    if sft is None:
        return "No correlation: the study has no plain fine-tuning (sft)."
    if rho is None:
        why = "fewer than four roles" if len(points) < 4 else "one side does not vary"
        return f"No correlation: {why} (n = {len(points)} roles)."
    more = "the more rows are flagged, the {} {} {} loses"
    words = (more.format(word, title, sft) for word in ("more", "less"))
    return spearman(rho, f"{len(points)} roles", *words)


def headlines(numbers: Numbers) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Per method: (name, value, interval) of the main measures, means over roles; where there are several
    languages, attack success in the dominant one and in the others stands in the place of safety."""
    languages, safety = Languages(numbers), numbers.runs.safety
    found = []
    for method in [BASE, *numbers.runs.methods]:
        stats = {m.heading: (numbers.mean(method, m.name), m.unit) for m in numbers.runs.shown}
        if languages.known:
            attack = languages.attack
            levels = languages.levels(method)
            stats.pop(safety.heading, None)
            stats = {f"{attack.title}, {name}": (s, attack.unit) for name, s in levels.items()} | stats
        if any(stat for stat, _ in stats.values()):
            found.append((method, [_card(name, stat, unit) for name, (stat, unit) in stats.items()]))
    return found


def _card(name: str, stat: Stat | None, unit: str) -> tuple[str, str, str]:
    return (name, number(stat.value, unit), ends(stat.low, stat.high, unit)) if stat else (name, DASH, "")
