"""Character cards given where a cast is expected: the record of one character, not a role for each key.

Recognised: card formats V1 (flat), V2 and V3 (`spec` and `data`), the older notepad and web-UI shapes, and
any flat record with a name. Of a card the description, the personality and the scenario make the role prompt;
example dialogues, greetings, a lorebook and prompts of its own are not read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from playsafe.errors import BadInput

_NAME = ("name", "char_name")
_TOLD = (  # what makes the prompt, each under the names that the formats give it
    ("description", "char_persona", "context", "persona"),
    ("personality",),
    ("scenario", "world_scenario"),
)
_OTHER = {
    *(
        "first_mes",
        "mes_example",
        "char_greeting",
        "example_dialogue",
        "greeting",
        "creator_notes",
        "creator",
    ),
    *(
        "system_prompt",
        "post_history_instructions",
        "alternate_greetings",
        "character_book",
        "tags",
        "avatar",
    ),
    *(
        "character_version",
        "extensions",
        "spec",
        "spec_version",
        "nickname",
        "prompt",
        "unsafe_prompt",
        "bio",
    ),
    *("backstory", "age", "gender", "species", "appearance", "background", "summary", "greetings", "example"),
}
_FIELDS = _OTHER | {*_NAME} | {key for keys in _TOLD for key in keys}


def is_record(data: Any) -> bool:
    """Whether a mapping is the record of one character. (A role called "name" would have to be in a list.)"""
    if not isinstance(data, Mapping):
        return False
    keys = {str(key).lower() for key in data}
    card = isinstance(data.get("data"), Mapping) and ("spec" in keys or is_record(data["data"]))
    return card or bool(keys & {*_NAME}) or len(keys & _FIELDS) > 1


def character(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The record as an entry of a cast: name and description, or the prompts that it gives itself."""
    given = data["data"] if isinstance(data.get("data"), Mapping) else data
    name = next((given[key] for key in _NAME if isinstance(given.get(key), str) and given[key].strip()), None)
    if name is None:
        raise BadInput(
            f"the record of one character has no name; its keys are {', '.join(map(str, data))}.",
            where=where,
            next="Add a `name`, or write a mapping from role to description.",
        )
    if "prompt" in given:
        return dict(given)
    nickname = given.get("nickname") or name
    texts = [next((given[key] for key in keys if given.get(key)), "") for keys in _TOLD]
    told = [_spoken(text, str(nickname)) for text in texts if isinstance(text, str) and text.strip()]
    if not told:
        raise BadInput(
            f"the card of {name!r} has no description, personality or scenario.",
            where=where,
            next="Write a description, or a role with a `prompt`.",
        )
    return {"name": name.strip(), "description": "\n\n".join(told)}


def _spoken(text: str, name: str) -> str:
    """A card's text with its two macros replaced."""
    text = re.sub(r"\{\{\s*char\s*\}\}|<(BOT|CHAR)>", lambda _: name, text, flags=re.IGNORECASE)
    return re.sub(r"\{\{\s*user\s*\}\}|<USER>", "the user", text, flags=re.IGNORECASE).strip()
