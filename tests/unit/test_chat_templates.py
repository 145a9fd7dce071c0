"""Chat templates of every shape: what is trained is the template's own conversation, or is refused clearly.

The oracle is `apply_chat_template` itself; its conversation stands beside each template.
"""

from __future__ import annotations

from typing import Any

import pytest
from test_chat import TEMPLATE, tokenizer

from playsafe.data.chat import ChatRenderer, preview
from playsafe.errors import BadInput
from playsafe.records import Message

BEGIN, END = "<|turn|>", "<|end|>\n"
PLAIN = f"{BEGIN}{{{{ m['role'] }}}}\n{{{{ m['content'] }}}}{END}"
HEADER = f"{{% if add_generation_prompt %}}{BEGIN}assistant\n{{% endif %}}"


def each(inner: str, header: str = HEADER) -> str:
    return "{{ bos_token }}{% for m in messages %}" + inner + "{% endfor %}" + header


def answers(written: str) -> str:
    """Assistant turns in a form of their own."""
    return (
        f"{{% if m['role'] == 'assistant' %}}{BEGIN}assistant\n{written}{END}{{% else %}}{PLAIN}{{% endif %}}"
    )


SPLIT = "{% set c = m['content'].split('</think>')[-1].lstrip('\\n') %}"
THOUGHT = (
    "{% set t = m['content'].split('</think>')[0].replace('<think>', '').strip()"
    " if '</think>' in m['content'] else '' %}"
)
TEMPLATES = {
    "plain": TEMPLATE,
    # a vision-language model's: content is a list of typed parts
    "parts": each(
        f"{BEGIN}{{{{ m['role'] }}}}\n{{% for part in m['content'] %}}"
        f"{{% if part['type'] == 'text' %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}{END}"
    ),
    "no generation prompt": each(PLAIN, ""),
    "a header behind the generation prompt": each(answers("[final] {{ m['content'] }}")),
    # Qwen3's: an empty thought before the last answer, thoughts of earlier ones are cut
    "closed thought": each(
        answers(
            SPLIT
            + THOUGHT
            + "{% if loop.last %}<think>\n{{ t }}\n</think>\n\n{{ c }}{% else %}{{ c }}{% endif %}"
        )
    ),
    # of models that always think: the generation prompt opens the thought
    "opened thought": each(
        answers(SPLIT + THOUGHT + "<think>\n{{ t }}\n</think>\n\n{{ c }}"),
        f"{{% if add_generation_prompt %}}{BEGIN}assistant\n<think>\n{{% endif %}}",
    ),
    # DeepSeek-R1's: it opens a thought, and cuts every thought out of what is there
    "cut thought": each(
        answers(SPLIT + "{{ c }}"),
        f"{{% if add_generation_prompt %}}{BEGIN}assistant\n<think>\n{{% endif %}}",
    ),
    "clock": "{{ strftime_now('%Y-%m-%d') }} {{ strftime_now(format='%d %B') }}" + TEMPLATE,
    "strict": each(
        "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}"
        + PLAIN
    ),
    "generation blocks": each(answers("{% generation %}{{ m['content'] }}{% endgeneration %}")),
    "tools": each("{% if m['tool_calls'] %}{{ m['tool_calls'] }}{% endif %}" + PLAIN),
    "one system turn at most": each(
        "{% if m['role'] == 'system' and loop.index0 > 0 %}{{ raise_exception('system first') }}{% endif %}"
        + PLAIN
    ),
}
CONVERSATION = ("Is it deep?", "Deep enough.", "And cold?", "Cold as iron.")
TURNS = [Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(CONVERSATION)]  # type: ignore[arg-type]


def own(name: str, turns: list[Message], **more: Any) -> str:
    """What the template itself writes, with nothing of ours."""
    made = tokenizer(TEMPLATES[name])
    parts = name == "parts"
    messages = [
        {"role": t.role, "content": [{"type": "text", "text": t.content}] if parts else t.content}
        for t in turns
    ]
    return str(made.apply_chat_template(messages, tokenize=False, **more))


@pytest.mark.parametrize("turns", [2, 4])
@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "clock"])
def test_a_row_is_the_templates_own_conversation(name: str, turns: int) -> None:
    renderer = ChatRenderer(tokenizer(TEMPLATES[name]))
    *before, answer = TURNS[:turns]
    row = renderer.render(before, answer.content)
    *prompt, (reply, trained) = preview(renderer, row)
    assert trained
    assert reply == f"{answer.content}<|end|>"
    assert "".join(text for text, _ in [*prompt, (reply, True)]) == own(name, TURNS[:turns]).rstrip("\n")
    assert all(turn.content in prompt[0][0] for turn in before)


def test_what_a_model_reads_before_it_answers() -> None:
    """Its own generation prompt; where that is none or lacks a header, what stands before an answer."""
    asked = TURNS[:1]
    for name in TEMPLATES:
        renderer = ChatRenderer(tokenizer(TEMPLATES[name]))
        read = renderer.tokenizer.decode(renderer.prompt(asked))
        if name == "clock":
            assert read.startswith("2024-07-26 26 July")
        elif name == "no generation prompt":
            assert read == own(name, asked) + f"{BEGIN}assistant\n"
        elif name == "a header behind the generation prompt":
            assert read == own(name, asked, add_generation_prompt=True) + "[final] "
        else:
            assert read == own(name, asked, add_generation_prompt=True)
        assert renderer.opened == (name in ("opened thought", "cut thought"))


@pytest.mark.parametrize("name", ["closed thought", "opened thought", "plain"])
def test_a_reply_with_a_thought_is_trained_as_the_template_writes_it(name: str) -> None:
    renderer = ChatRenderer(tokenizer(TEMPLATES[name]))
    reply = "<think>\nHe is afraid.\n</think>\n\nFar enough."
    row = renderer.render(TURNS[:1], reply)
    [(prompt, _), (said, trained)] = preview(renderer, row)
    assert trained
    assert prompt == own(name, TURNS[:1], add_generation_prompt=True)
    assert prompt + said == own(name, [*TURNS[:1], Message("assistant", reply)]).rstrip("\n")
    assert "He is afraid." in said


def test_a_thought_that_the_template_cuts_is_refused() -> None:
    renderer = ChatRenderer(tokenizer(TEMPLATES["cut thought"]))
    with pytest.raises(BadInput, match="holds a thought"):
        renderer.render(TURNS[:1], "<think>hm</think>yes")
    assert preview(renderer, renderer.render(TURNS[:1], "yes"))[-1] == ("yes<|end|>", True)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (each(f"{BEGIN}{{{{ m['role'] }}}}{END}"), "loses the text of the user's turn"),
        (
            each(f"{{% if m['role'] == 'user' %}}{PLAIN}{{% endif %}}"),
            "loses the text of the assistant's turn",
        ),
        (each(f"{{% if loop.last or loop.index0 == 2 %}}{PLAIN}{{% endif %}}"), "loses the text"),
        (each("{{ m['content'] + 3 }}"), "rejects"),
        (each("{{ m.content.nothing.at_all }}"), "rejects"),
        ("{{ messages | sort(attribute='x') | first | nonsense }}", "rejects"),
        ("{% for", "rejects"),
    ],
)
def test_a_template_that_loses_text_or_fails_is_refused(template: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        ChatRenderer(tokenizer(template))
    assert said in str(refused.value)


def test_named_templates_are_chosen_by_name() -> None:
    several = tokenizer()
    several.chat_template = {"tool_use": TEMPLATE, "rag": TEMPLATES["closed thought"]}
    with pytest.raises(BadInput, match=r"Allowed: rag, tool_use\."):
        ChatRenderer(several)
    for name, template in several.chat_template.items():
        chosen = ChatRenderer(several, arguments={"name": name})
        assert (
            chosen.render(TURNS[:1], "yes").ids
            == ChatRenderer(tokenizer(template)).render(TURNS[:1], "yes").ids
        )
    several.chat_template = {"default": TEMPLATE, "rag": TEMPLATES["closed thought"]}
    assert ChatRenderer(several).render(TURNS[:1], "yes") == ChatRenderer(tokenizer()).render(
        TURNS[:1], "yes"
    )
    with pytest.raises(BadInput, match="one chat template"):
        ChatRenderer(tokenizer(), arguments={"name": "rag"})


def test_arguments_reach_the_template_or_are_refused() -> None:
    switch = (
        "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
        "<think>\n\n</think>\n\n{% endif %}"
    )
    template = TEMPLATES["closed thought"] + switch
    plain, off = (
        ChatRenderer(tokenizer(template)),
        ChatRenderer(tokenizer(template), arguments={"enable_thinking": False}),
    )
    assert plain.tokenizer.decode(off.prompt(TURNS[:1])) == plain.tokenizer.decode(
        plain.prompt(TURNS[:1])
    ) + ("<think>\n\n</think>\n\n")
    assert plain.template_hash != off.template_hash
    for name in ("no_such_variable", "messages"):
        with pytest.raises(BadInput, match=name):
            ChatRenderer(tokenizer(template), arguments={name: 1})


def test_tokens_beyond_the_embeddings_are_refused_by_name() -> None:
    grown = tokenizer()
    rows = len(grown)
    grown.add_tokens(["<scene>"])
    renderer = ChatRenderer(grown, vocabulary=rows)
    assert renderer.render(TURNS[:1], "plain")
    with pytest.raises(BadInput, match=r"row 7: the text holds '<scene>'"):
        renderer.render(TURNS[:1], "<scene> begins", where="row 7")
