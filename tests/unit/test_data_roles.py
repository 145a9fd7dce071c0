"""Roles from YAML and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playsafe.data.roles import DEFAULT_UNSAFE_TEXT, find_role, load_roles, make_role
from playsafe.errors import BadInput

DESC = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "rolebench" / "desc.json"


def write(folder: Path, text: str, name: str = "roles.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_two_prompts_differ_in_the_unsafe_text_alone() -> None:
    role = make_role("Ann", "A sailor who says {name}.")
    assert role.prompt.startswith("You are Ann. A sailor who says {name}.")
    assert role.unsafe_prompt == f"{role.prompt}\n{DEFAULT_UNSAFE_TEXT}"
    assert make_role("Ann", "A sailor.", "Be bad.").unsafe_prompt.endswith("\nBe bad.")


def test_mapping_and_list_give_the_same_roles(tmp_path: Path) -> None:
    mapping = (
        "Ann:\n  prompt: Be Ann.\n  tags: [sea]\nBob: A cook.\n"
        "Cy:\n  description: A cat.\n  unsafe_prompt: Bad cat.\n"
    )
    listed = (
        "- {name: Ann, prompt: Be Ann., tags: [sea]}\n- {name: Bob, description: A cook.}\n"
        "- {name: Cy, description: A cat., unsafe_prompt: Bad cat.}\n"
    )
    roles = load_roles(write(tmp_path, mapping))
    assert roles == load_roles(write(tmp_path, listed))
    ann, bob, cy = roles
    assert (ann.prompt, ann.unsafe_prompt, ann.tags) == (
        "Be Ann.",
        f"Be Ann.\n{DEFAULT_UNSAFE_TEXT}",
        ("sea",),
    )
    assert bob == make_role("Bob", "A cook.")
    assert (cy.prompt, cy.unsafe_prompt) == (make_role("Cy", "A cat.").prompt, "Bad cat.")


def test_json_descriptions(tmp_path: Path) -> None:
    path = write(tmp_path, '{"Ann": "A sailor.", "Bob": "A cook."}', "desc.json")
    assert load_roles(path) == (make_role("Ann", "A sailor."), make_role("Bob", "A cook."))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann:\n  promt: x\n", r"roles\.yaml: Ann: unknown key 'promt'.*Did you mean 'prompt'"),
        ("Ann: {prompt: x, description: y}\n", "Ann: a role needs either"),
        ("Ann: {tags: [x]}\n", "Ann: a role needs either"),
        ("Ann: 3\n", "the role is a number"),
        ("Ann: ' '\n", "description is empty"),
        ("Ann: {prompt: x, tags: sea}\n", "tags is a string, not a list"),
        ("Ann: {prompt: x, name: Bob}\n", "calls itself 'Bob'"),
        ("7: x\n", r"role 1: the name .*is a number"),
        ("- {prompt: x}\n", r"role 1: the name .*is null"),
        ("- {name: Ann, prompt: x}\n- {name: Ann, prompt: y}\n", "two roles of this name"),
        ("Ann: x\nBob: y\nAnn: z\n", r"roles\.yaml:3: broken YAML: the key 'Ann' stands twice"),
        ("Ann: x\nBob: [\n", r"roles\.yaml:3: broken YAML"),
        ("!!python/name:os.system x\n", r"roles\.yaml:1: broken YAML"),
        ("just text\n", "holds a string"),
        ("{}\n", "the file has no roles"),
    ],
)
def test_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_roles(write(tmp_path, text))


def test_find_role_names_the_nearest() -> None:
    roles = [make_role("Ann", "x"), make_role("Bob", "y")]
    assert find_role(roles, "Bob") is roles[1]
    with pytest.raises(BadInput, match=r"no role 'Anne'.*Did you mean 'Ann'"):
        find_role(roles, "Anne")
    with pytest.raises(BadInput, match=r"Known: Ann, Bob"):
        find_role(roles, "xyz")


def test_rolebench_descriptions() -> None:
    if not DESC.is_file():
        pytest.skip(f"{DESC} is absent: RoleBench is not tested")
    roles = load_roles(DESC)
    assert len(roles) == 95
    assert all(role.prompt.startswith(f"You are {role.name}. ") for role in roles)


CARD = {
    "name": "Ilse",
    "description": '{{char}} keeps the ferry. {{Char}} calls {{user}} "stranger".',
    "personality": "curt",
    "scenario": "<USER> wants to cross before <BOT> sleeps.",
    "first_mes": "*She does not look up.*",
    "mes_example": "<START>\n{{user}}: Is it deep?\n{{char}}: Deep enough.",
}
TOLD = (
    'Ilse keeps the ferry. Ilse calls the user "stranger".\n\ncurt\n\n'
    "the user wants to cross before Ilse sleeps."
)


@pytest.mark.parametrize(
    "data",
    [
        CARD,
        {"spec": "chara_card_v2", "spec_version": "2.0", "data": CARD | {"tags": ["river"]}},
        CARD | {"spec": "chara_card_v3", "data": CARD | {"nickname": ""}},
        [CARD],
        {
            "char_name": "Ilse",
            "char_persona": CARD["description"],
            "personality": "curt",
            "world_scenario": CARD["scenario"],
        },
    ],
)
def test_a_character_card_is_one_role(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    [role] = load_roles(path)
    assert role == make_role("Ilse", TOLD)


def test_a_flat_record_is_no_cast(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for record, name in (
        ({"name": "Ann", "description": "A miller."}, "Ann"),
        ({"name": "Ann", "prompt": "You are Ann."}, "Ann"),
    ):
        path.write_text(json.dumps(record))
        assert [role.name for role in load_roles(path)] == [name]
    for record, said in (
        ({"description": "A miller.", "personality": "curt"}, "has no name"),
        ({"name": "Ann", "first_mes": "Good day."}, "no description"),
        ({"name": "", "description": "A miller."}, "the name .* is empty"),
    ):
        path.write_text(json.dumps(record))
        with pytest.raises(BadInput, match=said):
            load_roles(path)
    path.write_text(json.dumps({"Ann": "A miller.", "Ilse": "A ferrywoman."}))
    assert [role.name for role in load_roles(path)] == ["Ann", "Ilse"]
