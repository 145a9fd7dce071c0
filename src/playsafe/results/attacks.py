"""Attack success by judge: methods against suites as they were asked."""

from __future__ import annotations

from playsafe.results.load import BASE
from playsafe.results.numbers import Numbers, Stat

Cells = dict[tuple[str, str, str], Stat | None]  # judge, method, key


def measured(numbers: Numbers) -> Cells:
    """Every judge × method × harmful suite as it was asked, by the judges that tell attack success."""
    runs, attack = numbers.runs, numbers.runs.about("attack")[0].name
    served = {e.judge for run in runs.every for e in run.estimates if e.metric == attack}
    return {
        (judge, method, key): numbers.narrowed(judge=judge, keys=[key]).mean(method, attack)
        for judge in runs.judges
        if judge in served
        for key in runs.keys("harmful")
        for method in [BASE, *runs.methods]
    }
