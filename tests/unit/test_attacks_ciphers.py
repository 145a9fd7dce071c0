"""The ciphers: nothing is lost, the decryption in the prompt decrypts, replies are read tolerantly."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from playsafe import attacks
from playsafe.attacks.code import DECRYPT
from playsafe.attacks.morse import CODE
from playsafe.config import AttackConfig
from playsafe.errors import BadInput
from playsafe.records import Message, Prompt

SCHEMES = ("reverse", "odd_even", "length", "binary_tree")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *(("caesar", {"shift": shift}) for shift in range(1, 26)),
    *(("code", {"scheme": scheme}) for scheme in SCHEMES),
    *((name, {}) for name in ("ascii", "morse", "self_cipher")),
]
REFUSAL = "I'm sorry, but I cannot help with that.\nLet us talk about something else!"


def parsed(name: str, /, **raw: Any) -> Any:
    return AttackConfig(name=name, options=raw).parsed()


def apply(name: str, texts: list[str], /, **raw: Any) -> attacks.Attacked:
    asked = [Prompt(f"s:{n}", "s", (Message("user", text),)) for n, text in enumerate(texts, 1)]
    return attacks.get(name).apply(asked, parsed(name, **raw))


def contents(attacked: attacks.Attacked) -> list[str]:
    return [p.messages[-1].content for p in attacked.prompts]


# round trips


@pytest.mark.slow
@pytest.mark.parametrize(("name", "raw"), VARIANTS, ids=lambda value: str(value))
def test_round_trip_of_every_real_row(name: str, raw: dict[str, Any], shared: Path) -> None:
    attack: Any = attacks.get(name)
    chosen = parsed(name, **raw)
    texts = []
    for file, columns in (
        ("advbench/harmful_behaviors.csv", ("goal", "target")),
        ("jailbreakbench/harmful-behaviors.csv", ("Goal", "Target")),
    ):
        with (shared / "data" / file).open(encoding="utf-8", newline="") as handle:
            texts += [row[column] for row in csv.DictReader(handle) for column in columns]
    assert len(texts) == 2 * 520 + 2 * 100
    wrong = [n for n, t in enumerate(texts) if attack.decode(attack.encode(t, chosen), chosen) != t]
    assert wrong == []
    if name != "self_cipher":
        assert sum(attack.encode(text, chosen) == text for text in texts) == 0
    assert [n for n, text in enumerate(texts) if attack.decode(text, chosen) != text] == []


@pytest.mark.parametrize(("name", "raw"), VARIANTS, ids=lambda value: str(value))
def test_inverse_is_exact_for_random_text(name: str, raw: dict[str, Any]) -> None:
    attack: Any = attacks.get(name)
    chosen = parsed(name, **raw)
    rng = random.Random(f"{name}{raw}")
    signs = "abcXYZ 019.-/^|\"'\\[]{}\n\r\t  éßİ好\u0301\u200d🏴\x00\u2028\ud800"
    for _ in range(300):
        text = "".join(
            rng.choice(signs) if rng.random() < 0.8 else chr(rng.randrange(0x110000))
            for _ in range(rng.randrange(40))
        )
        assert attack.invert(attack.encode(text, chosen), chosen) == text


def test_known_codes() -> None:
    """By hand and by Python's own codec."""
    caesar, morse, ascii_, code = (attacks.get(n) for n in ("caesar", "morse", "ascii", "code"))
    assert caesar.encode("Xyz, abc!", parsed("caesar")) == "Abc, def!"  # type: ignore[attr-defined]
    assert morse.encode("Sos a\né", parsed("morse")) == "^... --- ... / .-\né"  # type: ignore[attr-defined]
    assert ascii_.encode("Hi\né", parsed("ascii")) == "72 105 10 233"  # type: ignore[attr-defined]
    encoded = {s: json.loads(code.encode("a bbb cc d", parsed("code", scheme=s))) for s in SCHEMES}  # type: ignore[attr-defined]
    assert encoded == {
        "reverse": ["d", "cc", "bbb", "a"],
        "odd_even": ["a", "cc", "bbb", "d"],
        "length": [["a", 0], ["d", 3], ["cc", 2], ["bbb", 1]],
        "binary_tree": [[[[], "a", []], "bbb", []], "cc", [[], "d", []]],
    }
    assert len(set(CODE.values())) == len(CODE) == 26 * 2 + 10 + 18 + 1
    by_hand = {"e": ".", "v": "...-", "q": "--.-", "z": "--..", "0": "-----", "5": ".....", "?": "..--.."}
    assert {c: CODE[c] for c in by_hand} == by_hand


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_function_in_the_prompt_decrypts(scheme: str) -> None:
    """Our own template's function, run on what the prompt assigns to `problem`."""
    for text in ('one  two\nthree "four" \\five é 🏴 six', "word", " ", "a b", "a b c", "\x00 \u2028 x\x1f"):
        (program,) = contents(apply("code", [text], scheme=scheme))
        assert f"```python\n{DECRYPT[scheme]}\n" in program
        (line,) = [line for line in program.split("\n") if line.startswith("problem = ")]
        names: dict[str, Any] = {}
        exec(f"{DECRYPT[scheme]}\n{line}\nplain = decrypt(problem)", names)
        assert names["plain"] == text
        assert text.count(" ") < 2 or text not in program


# reading of replies


@pytest.mark.parametrize("name", ["caesar", "morse", "ascii"])
def test_replies_are_read_tolerantly(name: str) -> None:
    attack: Any = attacks.get(name)
    chosen = parsed(name)
    encoded = attack.encode(REFUSAL, chosen)

    def read(reply: str) -> str:
        return attack.decode(reply, chosen)  # type: ignore[no-any-return]

    assert encoded != REFUSAL == read(REFUSAL) == read(encoded)
    assert read(f"{encoded}\n") == f"{REFUSAL}\n"
    assert read(f"Sure! Here is my answer:\n\n{encoded}") == f"Sure! Here is my answer:\n\n{REFUSAL}"
    mixed = read(f'I can answer that. My message is: "{encoded}" Hope that helps.')
    assert mixed.startswith("I can answer that. My message is: ")
    assert mixed.endswith(" Hope that helps.")
    assert REFUSAL in mixed


def test_a_short_message_inside_long_prose_is_read_when_it_is_no_accident() -> None:
    prose = "This is what I would write to a friend who asked me about the weather. " * 5
    for name in ("caesar", "morse", "ascii"):
        attack: Any = attacks.get(name)
        secret = "No, I will not do that."
        reply = f"{prose}\n{attack.encode(secret, parsed(name))}\n"
        assert attack.decode(reply, parsed(name)) == f"{prose}\n{secret}\n"
    for reply in (f"{prose} S O S is ... --- ... .-", f"{prose} It may be 72, 101, 108, 108, 111 or 33."):
        assert attacks.get("morse").decode(reply, parsed("morse")) == reply
        assert attacks.get("ascii").decode(reply, parsed("ascii")) == reply


@pytest.mark.parametrize(
    ("name", "reply", "text"),
    [
        ("morse", ".... .. / - .... . .-. .", "hi there"),
        ("morse", ".... ..   - .... . .-. .", "hi there"),
        ("morse", "····  ··  /  –  ····  ·  ·–·  ·", "hi there"),
        ("morse", "... .- -.--/-. ---", "say no"),
        ("morse", "**.... ..**\n`-. --- .--`", "hi\nnow"),
        ("morse", "--- --- ---", None),
        ("morse", "...", None),
        ("morse", "好 的 - 好 .. 的", None),
        ("ascii", "[73, 32, 119, 111, 110, 39, 116]", "I won't"),
        ("ascii", "073 032 119 111 110", "I won"),
        ("ascii", "73  119 111 110", "I won"),
        ("ascii", "73 32 119 111\n110 111 119", "I wo\nnow"),
        ("ascii", "80, 85, 90, 95, 100", None),
        ("ascii", "34 67 40 90 38 33 45", None),
        ("ascii", "10 9 8 7 6", None),
        ("ascii", "2024", None),
        ("caesar", "Qr.", "No."),
        ("caesar", "Eh.", "Be."),
        ("caesar", "Zrq’w.", "Won’t."),
        ("caesar", "Eh. I am not sure that this is good.", None),
        ("caesar", "Eh, xyzzy plugh frotz gnusto rezrov ozmoo bozbar izyuk vaxum yomin", None),
        ("code", '["no", "way,"]', "way, no"),
        ("code", '["no", "way, no"]', None),
        ("code", '{"answer": ["no"]}', None),
    ],
)
def test_what_is_code_and_what_is_not(name: str, reply: str, text: str | None) -> None:
    raw = {"scheme": "reverse"} if name == "code" else {}
    assert attacks.get(name).decode(reply, parsed(name, **raw)) == (reply if text is None else text)


def test_codes_that_encode_never_makes_are_no_codes() -> None:
    for name, wrong in (
        ("ascii", ["072", "1114112", "7,2", "72  105", "-1", "²", "١"]),
        ("morse", ["..-..-..-", ".-  -.", "ab", "a"]),
        ("code", ["[1]", "[[[", "null", "3", '{"a": 1}', '[ "a"]', '["a b"]', '"ab"', "[[]]"]),
    ):
        attack: Any = attacks.get(name)
        for text in wrong:
            with pytest.raises(ValueError):  # noqa: PT011 - json raises a subclass with words of its own
                attack.invert(text, parsed(name))


# prompts


def test_ciphers_explain_themselves_and_show_demonstrations(tmp_path: Path) -> None:
    path = tmp_path / "shown.jsonl"
    path.write_text('{"text": "First placeholder"}\n{"text": "Second one"}', encoding="utf-8")
    for name in ("caesar", "morse", "ascii", "self_cipher"):
        attack: Any = attacks.get(name)
        (plain,) = contents(apply(name, ["The request"]))
        (shown,) = contents(apply(name, ["The request"], demonstrations=str(path)))
        (first,) = contents(apply(name, ["The request"], demonstrations=str(path), limit=1))
        one, two, asked = (
            attack.encode(text, parsed(name)) for text in ("First placeholder", "Second one", "The request")
        )
        assert plain.endswith(f"\nMy message:\n{asked}")
        assert one not in plain
        assert f"\n1. {one}\n2. {two}\n" in shown
        assert one in first
        assert two not in first
    with pytest.raises(BadInput, match="shift"):
        parsed("caesar", shift=26)
