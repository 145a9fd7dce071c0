"""Thoughts parted from answers: each expected value is written by hand."""

from __future__ import annotations

import pytest

from playsafe.thoughts import ends_inside, leading_tags, marks, split_thought, whole

START, END = "<|start|>assistant", "<|end|>"
SAID = "<|channel|>final<|message|>"
MUSED = "<|channel|>analysis<|message|>"


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("plain answer", "", "plain answer"),
        ("  kept as it is\n", "", "  kept as it is\n"),
        ("", "", ""),
        ("<think>hm</think>yes", "hm", "yes"),
        ("<think>\nhm\n</think>\n\nyes\n", "hm", "yes"),
        (" \n<think>\nhm\n</think> yes", "hm", "yes"),
        ("<THINK>hm</Think>yes", "hm", "yes"),
        ("<thinking>hm</thinking>yes", "hm", "yes"),
        ("<reasoning>hm</reasoning>yes", "hm", "yes"),
        ("<thought>hm</thought>yes", "hm", "yes"),
        ("<seed:think>hm</seed:think>yes", "hm", "yes"),
        ("[THINK]hm[/THINK]yes", "hm", "yes"),
        ("◁think▷hm◁/think▷yes", "hm", "yes"),
        ("<|begin_of_thought|>hm<|end_of_thought|>yes", "hm", "yes"),
        ("<|START_THINKING|>hm<|END_THINKING|>yes", "hm", "yes"),
        ("<|channel>thought\nhm\n<channel|>yes", "hm", "yes"),
        ("<|channel>thought\n<channel|>yes", "", "yes"),
        ("<|channel>thought\nhm", "hm", None),
        # empty, no answer behind it, several in a row
        ("<think></think>yes", "", "yes"),
        ("<think>\n\n</think>\n\nyes", "", "yes"),
        ("<think>hm</think>", "hm", ""),
        ("<think>one</think>\n<think>two</think>\nyes", "one\n\ntwo", "yes"),
        ("<think>one</think><reasoning>two</reasoning>yes", "one\n\ntwo", "yes"),
        # one within another, a quotation within it, another family's tag within it
        ("<think>a<think>b</think>c</think>yes", "a<think>b</think>c", "yes"),
        ("<think>he writes <think> here</think>yes", "he writes <think> here", "yes"),
        ("<think>a </thinking> b</think>yes", "a </thinking> b", "yes"),
        # no closing tag
        ("<think>hm", "hm", None),
        ("<think>", "", None),
        ("[THINK]I cannot help with that.", "I cannot help with that.", None),
        ("<think>one</think><think>two", "one\n\ntwo", None),
        ("<think>\na\n<think>\nb\n</think>\nc", "a\n<think>\nb\n</think>\nc", None),
        # further on, a tag is text
        ("Write <think>hm</think> so.", "", "Write <think>hm</think> so."),
        ("<think>hm</think>Write <think>x</think>.", "hm", "Write <think>x</think>."),
        ("<think>hm</think>no </think> here", "hm", "no </think> here"),
        ("Close it with </think> please.", "", "Close it with </think> please."),
        ("<thinker>hm</thinker>", "", "<thinker>hm</thinker>"),
        # something before the text opened it
        ("hm\n</think>\n\nyes", "hm", "yes"),
        ("I cannot.</think>\n\nyes", "I cannot.", "yes"),
        ("hm\n</think>yes", "hm", "yes"),
        ("</think>\nyes", "", "yes"),
        ("hm\n[/THINK]\nyes", "hm", "yes"),
        # channels
        (f"{MUSED}hm{END}{START}{SAID}yes", "hm", "yes"),
        (f"{MUSED}hm{END}{START}{SAID}yes<|return|>", "hm", "yes"),
        (f"{START}{MUSED}hm{END}{START}{SAID}yes", "hm", "yes"),
        (f"{MUSED}hm{SAID}yes", "hm", "yes"),
        (f"{MUSED}a{END}{START}{MUSED}b{END}{START}{SAID}yes", "a\n\nb", "yes"),
        (f"{SAID}yes", "", "yes"),
        (f"{MUSED}hm", "hm", None),
        (f"{MUSED}hm{END}", "hm", None),
        (f"hm{END}{START}{SAID}yes", "hm", "yes"),
        (f"Write {SAID} so.", "", f"Write {SAID} so."),
    ],
)
def test_split(text: str, thought: str, answer: str | None) -> None:
    assert split_thought(text) == (thought, answer)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("hm</think>yes", "hm", "yes"),
        ("hm, </think> yes", "hm,", "yes"),
        ("<think>\nhm</think>yes", "hm", "yes"),  # opened once more
        ("</think>yes", "", "yes"),
        ("hm [/THINK] yes", "hm", "yes"),
        ("I cannot help with that.", "I cannot help with that.", None),
        ("", "", None),
        (f"hm{END}{START}{SAID}yes", "hm", "yes"),
        ("hm</think><think>two</think>yes", "hm\n\ntwo", "yes"),
    ],
)
def test_split_where_the_prompt_opened_the_thought(text: str, thought: str, answer: str | None) -> None:
    assert split_thought(text, opened=True) == (thought, answer)


def test_a_text_cut_off_behind_its_thought_has_no_answer() -> None:
    assert split_thought("<think>hm</think>\n", cut=True) == ("hm", None)
    assert split_thought("<think>hm</think>y", cut=True) == ("hm", "y")
    assert split_thought(f"{MUSED}hm{END}{START}{SAID}", cut=True) == ("hm", None)
    assert split_thought("", cut=True) == ("", "")
    assert split_thought("", opened=True, cut=True) == ("", None)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("<|assistant|><think>\n", True),
        ("[THINK]", True),
        ("<|turn>model\n<|channel>thought\n", True),
        ("<|turn>model\n<|channel>thought\n<channel|>", False),
        (f"{START}{MUSED}", True),
        ("<|assistant|>", False),
        ("<think>\n\n</think>\n\n", False),
        ("what is <think>?\nassistant: ", False),
        (f"{START}{SAID}", False),
        ("", False),
    ],
)
def test_a_header_that_opens_a_thought(text: str, inside: bool) -> None:
    assert ends_inside(text) is inside


def test_parts_make_the_whole_again() -> None:
    for parts in (("hm", "yes", False), ("hm", "", True), ("", "yes", False)):
        thought, answer = split_thought(whole(*parts))
        assert (thought, answer or "", answer is None) == parts


def test_tags_before_the_answer() -> None:
    assert leading_tags("<think>hm</think>yes") == ["", "<think>", "hm", "</think>", "yes"]
    assert leading_tags("Write <think> so.") == ["Write <think> so."]
    assert leading_tags("Code:\n</think>\nend") == ["Code:\n</think>\nend"]
    assert leading_tags("<think>a</think>no <think>") == ["", "<think>", "a", "</think>", "no <think>"]


def test_control_tokens_that_are_kept() -> None:
    assert marks(["<think>", "</think>", "<|end|>", "<s>"]) == {"<think>", "</think>"}
    assert marks(["<|channel|>", "<|end|>", "<|return|>"]) == {"<|channel|>", "<|end|>"}
    assert marks(["<|end|>", "[INST]"]) == set()
    assert marks(["<|channel>", "<channel|>", "<turn|>"]) == {"<|channel>", "<channel|>"}


def test_hostile_tags_stay_fast() -> None:
    assert split_thought("<think>" * 50_000)[1] is None
    assert split_thought("<think>" + "a </think> " * 50_000)[0] == "a"
    assert split_thought("<think>a</think>" * 400 + "yes")[1] == "yes"
    assert split_thought("<think><think></think>" * 20_000)[0]
    assert split_thought("<think></think>" * 20_000 + "yes")[1] is None
    assert split_thought("<|channel|>" * 20_000)[1] is None
    assert split_thought("\n" * 200_000 + "</think>\nyes") == ("", "yes")


def test_any_number_of_tokens_may_end_a_message() -> None:
    """A message copied anew for each of these tokens would be some 70 GB of copies."""
    reply = "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Aye.\n"
    assert split_thought(reply + "<|end|> \n" * 110_000) == ("So.", "Aye.")
    assert split_thought(reply + "<|end|>" * 2 + "x<|end|>") == ("So.", "Aye.\n<|end|><|end|>x")
