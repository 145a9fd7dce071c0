"""A study of several languages without a role: by hand, hostile, and beside what every other part says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report import Elements
from test_report_languages_study import ANSWERED, GAPS, LANGUAGES, N, share, write_languages
from test_report_study import HOSTILE, REFUSED, Plan, fragment, rewrite, write_jsonl, write_study

from playsafe import metrics
from playsafe.report import heat, summary_table, write_page
from playsafe.report.closing import association, closing
from playsafe.report.heat import language_rows, measured
from playsafe.report.sections import Section
from playsafe.report.tables import difference_table, mcnemar_table
from playsafe.report.training import curves
from playsafe.report.verdict import headlines, verdict
from playsafe.report.warnings import warnings
from playsafe.results import load
from playsafe.results.joint import Count, joint_interval
from playsafe.results.languages import Languages, reward_points
from playsafe.results.load import NO_ROLE
from playsafe.results.numbers import Numbers
from playsafe.rundir import read_json, read_jsonl
from playsafe.statistics import paired_bootstrap, spearman_interval


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_languages(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def numbers(root: Path) -> Numbers:
    return Numbers(load(root))


def section(numbers: Numbers, drawn: set[str]) -> str:
    return fragment(Section("languages", "", "", heat.languages(numbers)), numbers.runs, drawn)


def shown(page: str) -> str:
    """What stands on the page without scripts and without the stored configuration."""
    body = page[page.index("<body>") : page.index('<script type="application/json"')]
    return " ".join(re.sub("<.*?>", " ", re.sub(r"<pre>.*?</pre>", " ", body, flags=re.S)).split())


# --- numbers ----------------------------------------------------------------------------------------------


def test_the_dominant_language_comes_first_and_suites_are_told_apart(tmp_path: Path) -> None:
    runs = load(write_languages(tmp_path, languages=("de", "en"), seeds=(0,), turns=("none", "empty")))
    assert (runs.languages, runs.dominant, runs.roleless) == (["en", "de"], "en", True)
    found = Languages(Numbers(runs), "empty")
    assert found.keys(metrics.get("compliance"), "de") == ["harmful-de@empty"]
    assert found.keys(metrics.get("other_language"), "en") == [
        "harmful-en@empty",
        "benign-en@empty",
        "task-en@empty",
    ]
    (tmp_path / "study.json").unlink()
    assert load(tmp_path).languages == ["de", "en"]  # as declared


def test_the_distance_and_its_closed_share_by_hand(numbers: Numbers) -> None:
    """base: 66/3 − 2 of 40; mpo, mean of three seeds: 14/3 − 2 of 40; dpo: 15 − 2 of 40."""
    found = Languages(numbers)
    apart = {method: found.apart(method) for method in ("base", "mpo", "dpo")}
    values = {method: stat.value for method, stat in apart.items() if stat is not None}
    assert values == pytest.approx({"base": 20 / 40, "mpo": 8 / 3 / 40, "dpo": 13 / 40})
    closed = {method: found.closed(method) for method in ("mpo", "dpo")}
    shares = {method: stat.value for method, stat in closed.items() if stat is not None}
    assert shares == pytest.approx({"mpo": 1 - 8 / 60, "dpo": 1 - 13 / 20})
    assert all(
        stat is not None and stat.low < stat.value < stat.high for stat in (*apart.values(), *closed.values())
    )
    assert apart["mpo"] is not None
    assert (apart["mpo"].n, apart["mpo"].how) == (160, "redrawn over seeds × prompts")
    levels = [stat.value for stat in found.levels("mpo").values() if stat is not None]
    assert levels == pytest.approx([2 / 40, 14 / 3 / 40])


def answered(method: str, language: str) -> np.ndarray:
    """Seeds × prompts, written down from the plan of the study and not read from it."""
    seeds = [ANSWERED[method][language] + (seed if language != "en" else 0) for seed in (0, 1, 2)]
    return np.array([[float(n < hits) for n in range(N)] for hits in seeds])


def test_translations_are_paired_prompt_by_prompt(numbers: Numbers) -> None:
    others = np.mean([answered("dpo", language) for language in LANGUAGES[1:]], axis=0)
    other, ours = paired_bootstrap(others - answered("dpo", "en")), Languages(numbers).apart("dpo")
    assert ours is not None
    assert ours.value == pytest.approx(other.value)
    assert ours.high - ours.low == pytest.approx(other.high - other.low)


def test_other_prompts_are_redrawn_on_their_own(tmp_path: Path) -> None:
    """A mean over weighted blocks is the same combination: −4 times English, 4/3 times each other one."""
    root = write_languages(tmp_path, methods=("mpo",))
    for file in root.rglob("values/harmful-fr.jsonl"):
        write_jsonl(file, [row | {"id": f"{row['id']}b"} for row in read_jsonl(file)])
    blocks = [answered("mpo", language) * (-4 if language == "en" else 4 / 3) for language in LANGUAGES]
    other, ours = paired_bootstrap(blocks), Languages(Numbers(load(root))).apart("mpo")
    assert ours is not None
    assert ours.value == pytest.approx(other.value)
    assert ours.high - ours.low == pytest.approx(other.high - other.low)


def test_the_interval_of_the_closed_share_holds_the_truth() -> None:
    """Four seeds of a method against one aligned model, two languages × 60 prompts, 200 times."""
    rng, held = np.random.default_rng(5), 0
    truth = 1 - (0.25 - 0.1) / (0.6 - 0.1)
    for _ in range(200):
        counts = []
        hard = {
            language: rng.normal(0, 0.5, 60) for language in ("en", "de")
        }  # both arms have the same prompts
        for arm, chances in enumerate(((0.1, 0.25), (0.1, 0.6))):
            for language, chance in zip(hard, chances, strict=True):
                odds = (
                    np.log(chance / (1 - chance)) * 1.06 + hard[language]
                )  # the mean over prompts is the chance
                block = (rng.random((4 if arm == 0 else 1, 60)) < 1 / (1 + np.exp(-odds))).astype(float)
                block = block if len(block) == 4 else block.repeat(4, axis=0)
                counts.append(Count(block, np.ones_like(block), language))
        found = joint_interval(
            counts, lambda s: 1 - (s[1] - s[0]) / np.where(s[3] > s[2], s[3] - s[2], np.nan), replicates=300
        )
        held += found.low <= truth <= found.high
    assert held >= 184


def test_no_share_of_a_distance_that_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERED, "base", dict.fromkeys(LANGUAGES, 2))
    numbers = Numbers(load(write_languages(tmp_path, seeds=(0,))))
    assert Languages(numbers).closed("mpo") is None
    [first, *_] = closing(numbers)
    assert first.startswith("Before training, attack success is not shown to differ in the other languages")
    assert "of the difference is closed" not in first


def test_perplexity_is_held_against_the_aligned_model_prompt_by_prompt(numbers: Numbers) -> None:
    """Answers cost log 8, those of mpo log 1.02 more and 0.01 more a seed, every second prompt ± 0.2."""
    stat = Languages(numbers).change("mpo", metrics.get("perplexity"), "de")
    assert stat is not None
    block = np.array([[np.log(1.02) + 0.01 * seed + 0.2 * (-1) ** n for n in range(N)] for seed in (0, 1, 2)])
    assert stat[:3] == pytest.approx([np.exp(end) - 1 for end in paired_bootstrap(block)], abs=0.01)
    assert stat.value == pytest.approx(np.exp(block.mean()) - 1)
    assert (stat.n, stat.how) == (N, "bootstrap over seeds × prompts")


def test_one_run_without_values_has_no_change_of_perplexity(tmp_path: Path) -> None:
    root = write_languages(tmp_path)
    for file in root.rglob("values/task-de.jsonl"):
        file.unlink()
    found = Languages(Numbers(load(root)))
    assert found.change("mpo", metrics.get("perplexity"), "de") is None
    assert found.measured("mpo", metrics.get("perplexity"), "de") is None  # three seeds are never guessed at
    base = found.measured("base", metrics.get("perplexity"), "de")
    assert base is not None
    assert base[:3] == pytest.approx((8.0, 6.5, 9.5))  # one run: as it is stored


def test_points_of_reward_gap_and_attack_success(numbers: Numbers) -> None:
    points = reward_points(numbers)
    assert len(points) == 12
    found = {(p.language, p.method): (p.gap.value, p.success.value) for p in points}
    assert found["de", "base"] == pytest.approx((0.8, 0.5))
    assert found["fr", "mpo"] == pytest.approx((1.59, 5 / 40))  # gaps fall by 0.01, answers rise by 1 a seed
    assert all(p.system == "none" and p.gap.low < p.gap.value < p.gap.high for p in points)
    gaps = [GAPS[m][one] - (0 if m == "base" else 0.01) for one in LANGUAGES for m in ("base", "mpo", "dpo")]
    late = [0 if m == "base" or one == "en" else 1 for one in LANGUAGES for m in ("base", "mpo", "dpo")]
    hits = [ANSWERED[m][one] for one in LANGUAGES for m in ("base", "mpo", "dpo")]
    rho = spearman_interval(gaps, [hit + more for hit, more in zip(hits, late, strict=True)])
    low, high = (f"{end:.2f}".replace("-", "−") for end in rho[1:])
    assert association(points).startswith(
        f"Spearman ρ = −{-rho.value:.2f} [{low}, {high}] over n = 12 points"
    )
    assert association(points).endswith(
        "The points share models and prompts, so the interval is narrower than it should be."
    )
    assert "fewer than four points (n = 3)" in association(points[:3])


# --- the page ---------------------------------------------------------------------------------------------


def test_the_sentences_lead_with_the_languages(numbers: Numbers) -> None:
    first, moved, rivals, cost = verdict(numbers)
    assert first.startswith("Before training, attack success is 50.0 points [")
    assert (
        "] higher in the other languages (German, Spanish and French) than in English; after mpo 6.7 points ["
        in first
    )
    assert ": 86.7 % [" in first
    assert first.endswith("] of the difference is closed.")
    assert moved.endswith("to mpo: English 5.0 % → 5.0 %, other languages 55.0 % → 11.7 %.")
    assert rivals.startswith("Of the same difference the other methods close: dpo 35.0 % [")
    assert cost.startswith("Over-refusal of benign prompts, points against the aligned model: mpo +0.0 [−")
    cards = dict(headlines(numbers))
    assert [name for name, _, _ in cards["mpo"]] == [
        "attack success, English",
        "attack success, other languages",
        "over-refusal",
    ]


def test_every_measure_has_a_row_per_method_and_a_column_per_language(numbers: Numbers) -> None:
    cells = measured(Languages(numbers))
    assert len(cells) == 6 * 3 * 4
    rows = {tuple(row[1:4]): row[4:] for row in language_rows("none", cells)}
    assert rows["attack success", "base", "German"][:4] == ["50.0 %", "35.2 %", "64.8 %", "40"]
    assert rows["perplexity, change", "mpo", "French"][0] == "3.0 %"
    assert rows["perplexity", "base", "French"][0] == "8.000"
    assert rows["reward gap (nats/token)", "dpo", "English"][0] == "1.990"
    assert rows["reply in another language", "base", "English"][3] == "120"
    html = section(numbers, {"reward"})
    assert html.count('class="hot"') == 12
    assert html.count("is better)") == 6


def test_nothing_is_said_of_roles_where_there_are_none(root: Path) -> None:
    page = write_page(root).read_text(encoding="utf-8")
    assert re.findall(r'<section id="([\w-]+)"', page) == [
        "languages",
        "results",
        "jailbreaks",
        "outcomes",
        "curves",
        "transcripts",
        "estimates",
        "methods",
    ]
    assert not re.search(r"(?i)\broles?\b|temper|role-play|ROUGE|flagged", shown(page))
    runs = load(root)
    assert [row[0] for row in summary_table(runs)[1]] == ["base", "mpo", "dpo"]
    assert summary_table(runs)[0] == ["method", "refusal", "over-refusal"]
    assert difference_table(Numbers(runs))[0] == ["difference", "refusal", "over-refusal"]
    assert mcnemar_table(Numbers(runs))[0][:2] == ["difference", "n prompts"]


def test_one_language_makes_no_section(tmp_path: Path) -> None:
    root = write_languages(tmp_path, languages=("en",), seeds=(0,))
    page = write_page(root).read_text(encoding="utf-8")
    assert 'id="languages"' not in page
    assert 'data-panel="reward"' not in page
    assert "Every measure" in page
    assert closing(Numbers(load(root))) == []
    assert verdict(Numbers(load(root)))[0].startswith("Refusal of harmful prompts, mpo against base:")


def test_a_missing_run_is_named_without_a_role(tmp_path: Path) -> None:
    root = write_languages(tmp_path, seeds=(0,))
    (root / "no_role" / "dpo" / "seed-0" / "summary.json").unlink()
    rewrite(root / "base", lambda s: s["estimates"].append(share("task-de", "truncated", "none", 9)))
    found = "\n".join(warnings(Numbers(load(root))))
    assert "1 of the study's runs are not finished: dpo · seed 0." in found
    assert "most in base · task-de: 22.5 %" in found
    assert NO_ROLE not in found


def test_without_values_the_tables_stay_and_no_distance_is_given(tmp_path: Path) -> None:
    root = write_languages(tmp_path, seeds=(0,))
    for file in root.rglob("values/*.jsonl"):
        file.unlink()
    text = shown(write_page(root).read_text(encoding="utf-8"))
    assert "higher in the other languages" not in text
    assert "Distance to English" in text  # its levels in English are stored
    assert "50.0 % [35.2, 64.8] n = 40" in text


def test_names_of_languages_and_methods_stay_text(tmp_path: Path) -> None:
    root = write_languages(tmp_path, seeds=(0,), methods=("mpo",))

    def hostile(summary: dict[str, Any]) -> None:
        summary["method"] = HOSTILE if summary["method"] == "mpo" else "base"
        for key, what in summary["suites"].items():
            what["language"] = HOSTILE if key.endswith("-de") else what["language"]

    for file in root.rglob("summary.json"):
        rewrite(file.parent, hostile)
    elements = Elements(write_page(root).read_text(encoding="utf-8"))
    assert elements.tags.count("script") == 4
    assert "img" not in elements.tags
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    drawn = json.dumps([tab["spec"] for tab in json.loads(elements.scripts[0])["figures"]["reward"]])
    assert "&lt;" in drawn
    assert "<script" not in drawn
    assert "<img" not in drawn


def test_probes_of_the_gap_are_drawn_below_the_loss(root: Path) -> None:
    [tab] = curves(load(root))
    layout, lines = tab["spec"]["layout"], tab["spec"]["data"]
    titles = [layout[f"yaxis{n}"]["title"]["text"] for n in ("", 2, 3, 4)]
    assert titles == ["loss", "gap", "retain", "nats/token"]
    named = [note["text"] for note in layout["annotations"] if note["text"]]
    assert named == [f"reward gap: pairs-{language}" for language in LANGUAGES]
    probes = [line for line in lines if line["yaxis"] == "y4"]
    assert len(probes) == 6
    assert list(probes[0]["x"]) == [0, 10, 20]
    assert list(lines[0]["x"])[:2] == [1, 2]


def test_a_probe_of_many_suites_has_room(tmp_path: Path) -> None:
    languages = tuple(f"x{n}" for n in range(30))
    root = write_languages(tmp_path, languages=("en", *languages), methods=("mpo",), seeds=(0,))
    assert len(curves(load(root))[0]["spec"]["layout"]["annotations"]) >= 31


def test_a_study_of_roles_leads_with_its_languages_too(tmp_path: Path) -> None:
    """Five roles: fine-tuning closes the distance because English gets worse, which the levels say."""
    root = write_study(tmp_path, seeds=(0,), plan=Plan(("harmful", "attacks", "benign")), steps=3)

    def declare(summary: dict[str, Any]) -> None:
        for key, what in summary["suites"].items():
            what["language"] = {"harmful": "en", "attacks": "de"}.get(key, "")

    for file in root.rglob("summary.json"):
        if "suites" in read_json(file):
            rewrite(file.parent, declare)
    numbers = Numbers(load(root))
    apart, closed = Languages(numbers).apart("sft"), Languages(numbers).closed("sft")
    assert apart is not None
    assert closed is not None
    kept = REFUSED["sft"].values()
    assert apart.value == pytest.approx(sum(n - n // 2 for n in kept) / 5 / 40)
    assert closed.value == pytest.approx(1 - apart.value / (20 / 40))
    assert apart.how == "redrawn over roles × prompts"
    first, moved, *rest = verdict(numbers)
    assert "higher in German than in English; after sarft" in first
    assert "English 2.5 % →" in moved
    assert any("Role-play fine-tuning (sft)" in sentence for sentence in rest)
    assert "Intervals redraw roles and prompts jointly" in section(numbers, set())
