"""The page: self-contained, deterministic, and deaf to what models and users write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_report_study import HOSTILE, RICH, ROLES, TALK, Plan, write_jsonl, write_study

from playsafe.report import summary_table, write_page
from playsafe.report.text import embedded_json, label
from playsafe.report.transcripts import PER_SET, _read, transcripts
from playsafe.results import load
from playsafe.rundir import read_jsonl

HOSTILE_ROLES = dict(ROLES) | {HOSTILE: "<b onclick=alert(1)>cruel</b>"}


class Elements(HTMLParser):
    """Counts elements and keeps attributes and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts and not self.scripts[-1]:
            self.scripts[-1] = data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(
        tmp_path_factory.mktemp("study"), roles=HOSTILE_ROLES, plan=RICH, gates=("refusal >= 0.9",)
    )


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return write_page(root).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page)


def test_hostile_text_makes_no_element(elements: Elements) -> None:
    assert elements.tags.count("script") == 4  # data, plotly, two of ours
    assert "img" not in elements.tags
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert "b" not in elements.tags


def test_data_survives_its_trip_into_the_page(elements: Elements) -> None:
    data = json.loads(elements.scripts[0])
    assert any(HOSTILE in reply["text"] for reply in data["transcripts"]["replies"])
    assert any(HOSTILE in item["prompt"]["request"] for item in data["apart"]["items"])
    assert not re.search("[<>&\u2028\u2029]", elements.scripts[0])


def test_labels_of_figures_are_escaped(elements: Elements) -> None:
    figures = json.loads(elements.scripts[0])["figures"]
    assert all(figures[key] for key in ("roles", "flagged", "pareto", "curves", "gaps"))
    drawn = json.dumps([tab["spec"] for tabs in figures.values() for tab in tabs])
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert label("<b>a</b>\n b") == "&lt;b&gt;a&lt;/b&gt; b"
    assert len(label("x" * 500)) == 28


def test_nothing_is_fetched(page: str, elements: Elements) -> None:
    ours = page[: page.index("plotly.js v")] + page[page.rindex("</script><script>") :]
    assert not re.search(r"https?://|@import|fetch\(|XMLHttpRequest|WebSocket|url\(", ours)
    links = [value for name, value in elements.attributes if name in ("href", "src", "action", "srcset")]
    assert links
    assert all(link.startswith("#") for link in links)


def test_the_policy_names_every_script_by_hash(page: str, elements: Elements) -> None:
    [policy] = [value for name, value in elements.attributes if name == "content" and "default-src" in value]
    assert policy.startswith("default-src 'none'")
    scripts = re.search(r"script-src (.*)", policy)
    assert scripts is not None
    assert len(re.findall(r"'sha256-[\w+/]{43}='", scripts[1])) == 3
    assert "unsafe" not in scripts[1]
    assert page.count("plotly.js v") == 1


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(root: Path, page: str) -> None:
    assert write_page(root).read_text(encoding="utf-8") == page


def test_harmful_texts_lie_only_in_the_data_block(page: str) -> None:
    start = page.index('<script type="application/json"')
    assert "SECRET" not in page[:start]
    assert "forge the passport" not in page[:start]


def test_transcripts_put_the_turned_ones_first_and_stay_few(root: Path) -> None:
    found = transcripts(load(root))
    skarn, harmful = found["roles"].index("Skarn"), 0
    items = [item for item in found["items"] if (item["role"], item["suite"]) == (skarn, harmful)]
    assert len(items) == PER_SET
    turned = [item["turned"] for item in items]
    assert turned == sorted(turned, reverse=True)
    assert sum(turned) == 39 - 10
    assert found["prompts"][items[0]["prompt"]]["id"] == "harmful:11"
    replies = [found["replies"][place] for place in items[0]["replies"]]
    assert [reply["verdicts"][0][0] for reply in replies] == ["refuse", "comply", "refuse"]


def test_of_replies_that_are_not_shown_nothing_is_held_but_what_they_do(root: Path) -> None:
    run = load(root).runs("Skarn", "sft", "harmful")[0]
    found = _read(run, "harmful", run.judges, ["harmful:3", "harmful:11"])
    for held in (found.completions, found.voices, *found.verdicts):
        assert set(held) == {"harmful:3", "harmful:11"}
    assert len(run.completions("harmful")) > 2


def test_a_reply_has_every_verdict_its_voice_and_the_text_behind_a_cipher(root: Path) -> None:
    found = transcripts(load(root))
    keys = [suite["key"] for suite in found["suites"]]
    assert keys[:4] == ["harmful", "harmful@role", "harmful+caesar", "harmful+caesar@role"]
    role, method = found["roles"].index("Alma"), found["methods"].index("sft")
    item = next(
        item
        for item in found["items"]
        if (item["role"], item["suite"]) == (role, keys.index("harmful+caesar@role"))
        and found["prompts"][item["prompt"]]["id"] == "harmful:1"
    )
    prompt, reply = found["prompts"][item["prompt"]], found["replies"][item["replies"][method]]
    assert prompt["request"].startswith("SECRET harmful prompt harmful:1 ")
    assert prompt["sent"] == f"ENCODED {prompt['request']}"
    assert (reply["decoded"], reply["text"]) == (TALK[True], TALK[True][::-1])
    assert reply["verdicts"] == [["refuse", "I will not help"], ["comply", "Ask the sea"]]
    assert (reply["in_character"], reply["ratio"]) == (True, 0.1)
    plain = next(p for p in found["prompts"] if p["id"] == "harmful:1" and "sent" not in p)
    assert plain["request"] == prompt["request"]


def test_texts_that_occur_often_lie_in_the_page_once(root: Path) -> None:
    """The aligned model's reply without a role prompt is the same for all roles."""
    found = transcripts(load(root))
    base = {tuple(i["replies"][:1]) for i in found["items"] if i["suite"] == 0 and i["prompt"] == 0}
    assert len(base) == 1
    assert sum(item["suite"] == 0 and item["prompt"] == 0 for item in found["items"]) > 1


def test_a_wrong_attribution_is_named(root: Path) -> None:
    """The tenth reply of every run sounds like Vex, which is only wrong for the others."""
    found = transcripts(load(root))
    named = {
        found["roles"][item["role"]]: found["replies"][item["replies"][1]].get("sounds_like")
        for item in found["items"]
        if item["suite"] == 0 and found["prompts"][item["prompt"]]["id"] == "harmful:10"
    }
    assert named["Alma"] == "Vex"
    assert named["Vex"] is None


GONE = (("train.jsonl", "rows.jsonl", "prompts"), ("scores.jsonl", "completions"), ("verdicts",))


@pytest.mark.parametrize("gone", GONE)
def test_missing_files_do_not_stop_the_page(tmp_path: Path, gone: tuple[str, ...]) -> None:
    write_study(tmp_path, roles={"Alma": "kind", "Vex": "cruel"}, seeds=(0,), steps=3)
    for path in [path for name in gone for path in sorted(tmp_path.rglob(name))]:
        for file in [path] if path.is_file() else sorted(path.iterdir()):
            file.unlink()
    assert write_page(tmp_path).stat().st_size > 1e6


def test_study_files_may_be_missing_too(tmp_path: Path) -> None:
    write_study(tmp_path, roles={"Alma": ""}, seeds=(0,), steps=3)
    for name in ("study.json", "provenance.json", "config.yaml"):
        (tmp_path / name).unlink()
    assert load(tmp_path).methods == ["sarft", "sft"]
    write_page(tmp_path)


def test_odd_numbers_and_half_characters_do_not_stop_the_page(tmp_path: Path) -> None:
    """A diverged run logs NaN; a byte-level model may write half of a surrogate pair."""
    write_study(tmp_path, roles={"Alma": "kind"}, seeds=(0,), steps=3)
    run = tmp_path / "role-0" / "sft" / "seed-0"
    rows = read_jsonl(run / "train.jsonl")
    write_jsonl(run / "train.jsonl", [*rows, {"step": 4, "loss": float("nan"), "ce": float("inf")}])
    completions = run / "completions" / "harmful.jsonl"
    completions.write_text(completions.read_text().replace("Bah!", "\\ud83d!"), encoding="utf-8")
    data = json.loads(Elements(write_page(tmp_path).read_text(encoding="utf-8")).scripts[0])
    lines = data["figures"]["curves"][0]["spec"]["data"]
    curve = next(line for line in lines if line["name"] == "sft")
    assert curve["y"][-1] is None
    assert curve["x"] == [1, 2, 3, 4]


def test_a_prompted_study_has_a_base_row_per_role(tmp_path: Path) -> None:
    plan, roles = Plan(systems=("role",)), {"Alma": "kind", "Vex": "cruel"}
    write_study(tmp_path, roles=roles, seeds=(0,), plan=plan, steps=3)
    _, rows = summary_table(load(tmp_path))
    assert [(row[0], row[2]) for row in rows[:3]] == [("Vex", "base"), ("Alma", "base"), ("Vex", "sft")]
    write_page(tmp_path)


def test_no_folder_of_this_machine_in_the_header(page: str) -> None:
    head = page[page.index("<header>") : page.index("</header>")]
    assert "/models/of" not in head
    assert "tiny · 6 roles · 2 methods · 2 training seeds" in head


def test_sections_stand_in_order_and_the_gates_above_them(page: str) -> None:
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections[:6] == ["results", "immersion", "jailbreaks", "outcomes", "judges", "roles"]
    assert page.index('class="gates fail"') < page.index('<section id="results"')


def test_one_judge_makes_no_section_of_judges(tmp_path: Path) -> None:
    page = write_page(write_study(tmp_path, roles={"Alma": "kind"}, seeds=(0,), steps=3))
    assert '<section id="judges"' not in page.read_text(encoding="utf-8")


def test_json_in_a_script_cannot_end_it() -> None:
    assert "<" not in embedded_json({"a": HOSTILE})
    assert json.loads(embedded_json({"a": HOSTILE})) == {"a": HOSTILE}


def test_the_report_imports_no_torch() -> None:
    code = "import sys, playsafe.report; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
