"""What is asked: the expansion of suites, attacks and system turns, and the names of its parts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from playsafe.config import StudyConfig, SuiteConfig
from playsafe.errors import BadInput
from playsafe.probes import check_aims, expand
from playsafe.records import key_of, parts
from playsafe.sources import suite


def evaluation(**settings: object) -> StudyConfig:
    return StudyConfig.model_validate({"evaluation": settings})


HARMFUL = {"name": "harmful", "path": "tiny:harmful", "limit": 5}
BENIGN = {"name": "benign", "path": "tiny:benign", "limit": 4}


def keys(**settings: object) -> list[str]:
    config = evaluation(suites=[HARMFUL, BENIGN], **settings).evaluation
    return [probe.key for probe in expand(config, [suite(one, config) for one in config.suites])]


@pytest.mark.parametrize("suite_name", ["advbench", "a.b-c"])
@pytest.mark.parametrize("attack", ["", "caesar"])
@pytest.mark.parametrize("system", ["none", "empty", "role"])
def test_a_key_can_be_taken_apart(suite_name: str, attack: str, system: str) -> None:
    assert parts(key_of(suite_name, attack, system)) == (suite_name, attack, system)


def test_every_combination_once() -> None:
    assert keys() == ["harmful", "benign"]
    assert keys(system=["none", "role"]) == ["harmful", "harmful@role", "benign", "benign@role"]
    assert keys(attacks=["caesar", {"name": "prefill", "suites": ["benign"]}]) == [
        "harmful",
        "harmful+caesar",
        "benign",
        "benign+prefill",
    ]


def test_attacked_prompts_keep_their_plain_request_and_are_read_back() -> None:
    config = evaluation(suites=[HARMFUL], attacks=["caesar"]).evaluation
    plain, attacked = expand(config, [suite(one, config) for one in config.suites])
    assert [p.plain for p in attacked.prompts] == [p.messages[-1].content for p in plain.prompts]
    assert all(
        p.messages[-1].content not in q.messages[-1].content
        for p, q in zip(plain.prompts, attacked.prompts, strict=True)
    )
    assert attacked.read("L fdqqrw khos brx zlwk wkdw.") == "I cannot help you with that."
    assert attacked.identity["attack"]["name"] == "caesar"


def test_an_attack_on_an_unknown_suite_is_refused() -> None:
    config = evaluation(suites=[HARMFUL], attacks=[{"name": "caesar", "suites": ["harmfull"]}]).evaluation
    with pytest.raises(BadInput, match="Did you mean 'harmful'"):
        check_aims(config)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "mine"}, "is no known suite"),
        ({"name": "mine", "kind": "harmful"}, "has no path"),
        ({"name": "advbensh"}, "Did you mean 'advbench'"),
        ({"name": "x", "path": "tiny:nothing"}, "no suite 'tiny:nothing'"),
        ({"name": "advbench", "kind": "benign"}, "is a harmful suite"),
        ({"name": "multijail"}, "needs a language"),
        ({"name": "multijail", "language": "tlh"}, "no 'tlh'"),
        ({"name": "xstest", "language": "en"}, "in one language"),
        ({"name": "xstest", "column": "prompt"}, "columns are fixed"),
        ({"name": "hex-phi"}, "huggingface.co/datasets/LLM-Tuning-Safety/HEx-PHI"),
    ],
)
def test_suites_that_cannot_be_asked(given: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        suite(SuiteConfig.model_validate(given), StudyConfig().evaluation)


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        ("tiny:dark", {"kind": "harmful"}, "the kind of tiny:dark is dark"),
        ("tiny:task:de", {"language": "fr"}, "the language of tiny:task:de is de"),
    ],
)
def test_an_embedded_suite_is_what_its_name_says(path: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SuiteConfig.model_validate({"name": "x", "path": path, **given})
    kind, language = (*path.split(":")[1:], None)[:2]
    assert SuiteConfig(name="x", path=path) == SuiteConfig(name="x", path=path, kind=kind, language=language)


def test_an_embedded_suite_takes_every_option_of_a_file() -> None:
    given = {"name": "x", "path": "tiny:harmful", "limit": 5}
    first, sample, poison = (
        suite(SuiteConfig.model_validate(given | more), StudyConfig().evaluation).prompts
        for more in ({}, {"seed": 1}, {"subset": "category=poison"})
    )
    assert first != sample
    assert {prompt.category for prompt in poison} == {"poison"}


def test_dark_prompts_are_embedded() -> None:
    config = StudyConfig().evaluation
    found = suite(SuiteConfig(name="grim", path="tiny:dark"), config)
    assert (found.kind, len(found.prompts)) == ("dark", 60)
    assert {p.suite for p in found.prompts} == {"grim"}
    assert len({p.messages[-1].content for p in found.prompts}) == 60


def test_a_ciphered_reply_that_names_half_a_surrogate_pair_can_still_be_written() -> None:
    from playsafe.evaluation.asking import _decoded
    from playsafe.records import Completion

    config = evaluation(suites=[HARMFUL], attacks=["ascii"]).evaluation
    _, attacked = expand(config, [suite(one, config) for one in config.suites])
    codes = " ".join(str(ord(sign)) for sign in "Take the left road, then ")
    found = _decoded(Completion("1", "s", f"{codes} 55296", 9, "stop"), attacked)
    assert found.decoded.startswith("Take the left road")
    assert found.decoded.encode()
