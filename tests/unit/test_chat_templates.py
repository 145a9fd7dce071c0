"""Chat templates of other shapes, written here after public ones: prompt, reply and end of turn are the
conversation that `apply_chat_template` itself gives; what a template loses is refused."""

from __future__ import annotations

from typing import Any

import pytest
from test_chat import tokenizer
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from playsafe.data.chat import ChatRenderer, preview
from playsafe.errors import BadInput
from playsafe.records import Message
from playsafe.thoughts import split_thought

EACH = "{{ bos_token }}{% for m in messages %}"
PLAIN = "{{ '<|turn|>' + m['role'] + '\n' + m['content'] + '<|end|>\n' }}"
ASK = "{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
QWEN3 = (  # a closed thought before the last answer; one in a reply is kept; an argument turns them off
    EACH + "{% if m['role'] == 'assistant' %}{% set parts = m['content'].split('</think>') %}"
    "{% set thought = parts[0].split('<think>')[-1].strip('\n') if parts|length > 1 else '' %}"
    "{{ '<|turn|>assistant\n' }}"
    "{% if loop.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}"
    "{{ parts[-1].lstrip('\n') + '<|end|>\n' }}"
    "{% else %}" + PLAIN + "{% endif %}" + ASK + "{% if add_generation_prompt and enable_thinking is defined "
    "and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
)
R1 = (  # the header opens a thought; the conversation holds none
    EACH + "{% if m['role'] == 'assistant' %}{% set text = m['content'].split('</think>')[-1] %}"
    "{{ '<|turn|>' + text + '</s>' }}{% else %}{{ m['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn|><think>\n' }}{% endif %}"
)
V31 = R1.replace("'<|turn|>' + text", "'<|turn|></think>' + text")  # a closing tag alone before the answer
OPENED = QWEN3.replace("{% endif %}{% if add_generation_prompt and", "{{ '' }}{% endif %}{% if ").replace(
    "{{ '<|turn|>assistant\n' }}{{ '' }}", "{{ '<|turn|>assistant\n<think>\n' }}"
)
GPT_OSS = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m['content'] }}"
    "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}{% else %}"
    "{{ '<|start|>' + m['role'] + '<|message|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
CHANNEL = (
    EACH + "{% if m['role'] == 'assistant' %}{{ '<|turn|>assistant\n[final] ' + m['content'] + '<|end|>\n' }}"
    "{% else %}" + PLAIN + "{% endif %}" + ASK
)
MISTRAL = (  # strict alternation, no system turn, a space before and after
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% if m['role'] == 'user' %}"
    "{{ '<|turn|> ' + m['content'] + ' <|end|>' }}{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)
GEMMA3 = (  # text or typed parts; a system turn goes into the first user turn
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set first = '' %}{% endif %}{% for m in messages %}"
    "{{ '<|turn|>' + m['role'] + '\n' + (first if loop.first else '') }}"
    "{% if m['content'] is string %}{{ m['content'] | trim }}{% else %}{% for part in m['content'] %}"
    "{{ part['text'] | trim }}{% endfor %}{% endif %}{{ '<|end|>\n' }}" + ASK
)
PARTS = (
    EACH + "{{ '<|turn|>' + m['role'] + '\n' }}{% for part in m['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{{ '<|end|>\n' }}" + ASK
)
USER_PARTS = (  # the user's turns as parts, the others as text
    EACH + "{{ '<|turn|>' + m['role'] + '\n' }}{% if m['role'] == 'user' %}{{ m['content'][0]['text'] }}"
    "{% else %}{{ m['content'] + '' }}{% endif %}{{ '<|end|>\n' }}" + ASK
)
SILENT = EACH + PLAIN + "{% endfor %}"  # no header when a reply is asked for
CLOCK = "{{ strftime_now('%A %d %B %Y, %H:%M') + '\n' }}" + EACH + PLAIN + ASK
MARKED = EACH + (
    "{% if m['role'] == 'assistant' %}{{ '<|turn|>assistant\n' }}{% generation %}"
    "{{ m['content'] + '<|end|>\n' }}{% endgeneration %}{% else %}" + PLAIN + "{% endif %}" + ASK
)
SHAPES = {
    "plain": EACH + PLAIN + ASK,
    "qwen3": QWEN3,
    "r1": R1,
    "v31": V31,
    "opened": OPENED,
    "gpt_oss": GPT_OSS,
    "channel": CHANNEL,
    "mistral": MISTRAL,
    "gemma3": GEMMA3,
    "parts": PARTS,
    "user_parts": USER_PARTS,
    "silent": SILENT,
    "clock": CLOCK,
    "marked": MARKED,
}
TYPED = {"parts": {"system", "user", "assistant"}, "user_parts": {"user"}}
CHANNELS = ["<|start|>", "<|channel|>", "<|message|>", "<|return|>"]
SHORT = [Message("user", "PROBE me, <think> you?")]
LONG = [Message("user", "hello"), Message("assistant", "aye"), Message("user", "deep?")]


def made(name: str) -> PreTrainedTokenizerFast:
    found = tokenizer(SHAPES[name])
    if name == "gpt_oss":
        found.backend_tokenizer.add_special_tokens([AddedToken(t, special=True) for t in CHANNELS])
    return found


def own(name: str, turns: list[Message], header: bool = False, **arguments: Any) -> str:
    """What the library writes."""
    typed = TYPED.get(name, set())
    return made(name).apply_chat_template(
        [
            {
                "role": turn.role,
                "content": [{"type": "text", "text": turn.content}] if turn.role in typed else turn.content,
            }
            for turn in turns
        ],
        tokenize=False,
        add_generation_prompt=header,
        **arguments,
    )


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("messages", [SHORT, LONG])
@pytest.mark.parametrize("system", [None, "Be Ann."])
def test_a_row_is_the_templates_own_conversation(
    shape: str, messages: list[Message], system: str | None
) -> None:
    renderer = ChatRenderer(made(shape))
    assert renderer.supports_system == (shape != "mistral")
    turns = [*messages]
    if system and shape == "mistral":
        turns[0] = Message("user", f"{system}\n\n{turns[0].content}")
    elif system:
        turns.insert(0, Message("system", system))
    whole = own(shape, [*turns, Message("assistant", "Row on.")])
    row = renderer.render(messages, "Row on.", system=system)
    if shape == "clock":  # the library's own clock is another day's
        whole = "Friday 26 July 2024, 00:00\n" + whole.partition("\n")[2]
    ids = renderer.tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert list(row.ids) == ids[: len(row.ids)]
    assert renderer.tokenizer.decode(ids[len(row.ids) :]).strip() == ""
    end = {"mistral": " </s>", "r1": "</s>", "v31": "</s>", "gpt_oss": "<|return|>"}.get(shape, "<|end|>")
    assert preview(renderer, row)[-1] == ((" " if shape == "mistral" else "") + "Row on." + end, True)
    assert renderer.prompt(messages, system=system) == row.ids[: row.prompt_length]


HEADERS = {
    "qwen3": "<|turn|>assistant\n",
    "r1": "<|turn|><think>\n",
    "v31": "<|turn|><think>\n",
    "opened": "<|turn|>assistant\n<think>\n",
    "gpt_oss": "<|start|>assistant",
    "channel": "<|turn|>assistant\n[final] ",
    "mistral": " <|end|>",
}


def test_a_model_goes_on_from_the_templates_header(shape: str) -> None:
    """By hand: where it leaves room for a thought the header as it is, else what an answer follows."""
    renderer = ChatRenderer(made(shape))
    ids = renderer.prompt(LONG, generation=True)
    text = renderer.tokenizer.decode(ids)
    assert text.endswith(HEADERS.get(shape, "<|turn|>assistant\n"))
    assert renderer.opens_thought(ids) == (shape in ("r1", "v31", "opened"))
    begun = renderer.tokenizer.decode(renderer.prompt(LONG, generation=True, prefill="Sure"))
    assert begun == renderer.tokenizer.decode(renderer.prompt(LONG)) + (
        " Sure" if shape == "mistral" else "Sure"
    )


def test_an_argument_closes_the_thought() -> None:
    open_, closed = (
        ChatRenderer(made("qwen3")),
        ChatRenderer(made("qwen3"), arguments={"enable_thinking": False}),
    )
    text = closed.tokenizer.decode(closed.prompt(LONG, generation=True))
    assert text == own("qwen3", LONG, header=True, enable_thinking=False)
    assert text.endswith("<think>\n\n</think>\n\n")
    assert closed.template_hash != open_.template_hash
    with pytest.raises(BadInput, match=r"model\.template.*no argument 'thinking'"):
        ChatRenderer(made("qwen3"), arguments={"thinking": False})
    for name in ("messages", "tokenize", "add_generation_prompt", "tools"):
        with pytest.raises(BadInput, match="no argument"):
            ChatRenderer(made("qwen3"), arguments={name: False})


@pytest.mark.parametrize("shape", ["qwen3", "opened", "plain", "gpt_oss"])
def test_a_reply_with_a_thought_is_written_as_the_template_writes_it(shape: str) -> None:
    reply = "<think>\nHe is afraid.\n</think>\n\nFar enough."
    renderer = ChatRenderer(made(shape))
    row = renderer.render(SHORT, reply)
    ids = renderer.tokenizer(own(shape, [*SHORT, Message("assistant", reply)]), add_special_tokens=False)
    assert list(row.ids) == ids["input_ids"][: len(row.ids)]
    trained = preview(renderer, row)[-1][0].removesuffix("<|end|>").removesuffix("<|return|>")
    assert split_thought(trained, opened=shape == "opened") == ("He is afraid.", "Far enough.")


@pytest.mark.parametrize("shape", ["r1", "v31"])
def test_a_thought_that_the_template_drops_is_refused(shape: str) -> None:
    renderer = ChatRenderer(made(shape))
    with pytest.raises(BadInput, match=r"rows\.jsonl:2.*leaves out.*thought"):
        renderer.render(SHORT, "<think>He is afraid.</think>Far enough.", where="rows.jsonl:2")
    empty = renderer.render(SHORT, "<think>\n</think>Far enough.")
    assert empty == renderer.render(SHORT, "Far enough.")
    quoted = renderer.render(SHORT, "Write <think> and </think> so.")
    assert preview(renderer, quoted)[-1][0] == "Write <think> and </think> so.</s>"


@pytest.mark.parametrize("said", ["Here:\n</think>\nend", "a <think> b", "</think>", "[THINK] in THINK"])
def test_what_a_model_answers_can_always_be_scored(shape: str, said: str) -> None:
    """Tags in an answer are text, whatever the template makes of them in its own conversations."""
    renderer = ChatRenderer(made(shape))
    assert said in preview(renderer, renderer.render(SHORT, said if "[" not in said else f"x {said}"))[-1][0]


def test_tags_that_are_control_tokens() -> None:
    """Those of a reply's own thought are the template's to read; anywhere else they stay text."""
    thinker = made("qwen3")
    thinker.backend_tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t in ("<think>", "</think>")]
    )
    renderer = ChatRenderer(thinker)
    tag, close = thinker.convert_tokens_to_ids(["<think>", "</think>"])
    row = renderer.render([Message("user", "a </think> b")], "<think>\nc <|end|> d\n</think>\n\ne <think> f")
    assert [i for i in row.ids if i in (tag, close)] == [tag, close]
    assert preview(renderer, row)[-1][0] == "<think>\nc <|end|> d\n</think>\n\ne <think> f<|end|>"
    said = thinker("<think>\nhm\n</think>\n\nyes<|turn|>", add_special_tokens=False)["input_ids"]
    assert renderer.decode(said) == "<think>\nhm\n</think>\n\nyes"


def test_channel_tokens_are_kept_to_part_thought_and_answer() -> None:
    renderer = ChatRenderer(made("gpt_oss"))
    text = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes"
    said = renderer.decode(renderer.tokenizer(text + "<s>", add_special_tokens=False)["input_ids"])
    assert split_thought(said) == ("hm", "yes")


BROKEN = {
    "loses the answer": (
        EACH + "{% if m['role'] == 'user' %}" + PLAIN + "{% endif %}" + ASK,
        "leaves out the text of the assistant turn",
    ),
    "loses earlier turns": (
        EACH + "{% if loop.revindex < 3 %}" + PLAIN + "{% endif %}" + ASK,
        "leaves out, in a longer conversation, the text of a user turn",
    ),
    "escapes": (EACH + PLAIN.replace("m['content']", "m['content']|e") + ASK, "rewrites marks in the text"),
    "quotes": (EACH + PLAIN.replace("m['content']", "m['content']|tojson") + ASK, "rewrites marks in"),
    "rewrites": (EACH + PLAIN.replace("m['content']", "m['content']|lower") + ASK, "leaves out the text"),
    "breaks": (EACH + "{{ 1 / 0 }}" + ASK, "ZeroDivisionError"),
    "of another type": (EACH + "{{ m['content'] + 1 }}" + ASK, "TypeError"),
    "undefined": (EACH + "{{ nothing.at.all }}" + ASK, "'nothing' is undefined"),
    "no template": ("{% for", "unexpected|Unexpected|Expected"),
    "by chance": (EACH + PLAIN + "{{ range(99999)|random }}" + ASK, "another way each time"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_template_that_cannot_be_used_is_refused(name: str) -> None:
    template, message = BROKEN[name]
    with pytest.raises(BadInput, match=message):
        ChatRenderer(tokenizer(template))


def test_named_templates() -> None:
    several = tokenizer()
    several.chat_template = {"rag": SHAPES["plain"], "tool_use": SHAPES["channel"]}
    with pytest.raises(BadInput, match=r"several chat templates.*rag, tool_use.*model\.template"):
        ChatRenderer(several)
    with pytest.raises(BadInput, match="'other'"):
        ChatRenderer(several, arguments={"name": "other"})
    found = ChatRenderer(several, arguments={"name": "rag"})
    assert found.render(LONG, "Row on.") == ChatRenderer(tokenizer(SHAPES["plain"])).render(LONG, "Row on.")
    several.chat_template = {"default": SHAPES["plain"], "tool_use": SHAPES["channel"]}
    assert ChatRenderer(several).render(LONG, "x") == found.render(LONG, "x")


def test_a_token_without_a_row_in_the_embeddings_is_refused() -> None:
    grown = tokenizer()
    rows = len(grown)
    grown.add_tokens(["<scene>"])
    renderer = ChatRenderer(grown, vocabulary=rows)
    assert renderer.render(SHORT, "fine")
    with pytest.raises(BadInput, match=rf"rows\.jsonl:2.*'<scene>'.*{rows}"):
        renderer.render(SHORT, "<scene>dusk", where="rows.jsonl:2")
    assert ChatRenderer(grown, vocabulary=rows + 1).render(SHORT, "<scene>dusk")
    grown.add_special_tokens({"pad_token": "<pad>"})
    assert ChatRenderer(grown, vocabulary=rows).pad_id is None
    assert ChatRenderer(grown).pad_id == rows + 1


def test_ids_are_those_of_the_day_that_is_fixed() -> None:
    text = ChatRenderer(made("clock")).template.write(SHORT, header=True)
    assert text.startswith("Friday 26 July 2024, 00:00\n")


@pytest.mark.parametrize("system", [None, "", "Be Ann."])
def test_ids_of_the_embedded_model_are_the_librarys(tiny: Any, system: str | None) -> None:
    turns = [{"role": turn.role, "content": turn.content} for turn in LONG]
    turns = turns if system is None else [{"role": "system", "content": system}, *turns]
    ask = tiny.tokenizer.apply_chat_template
    asked = ask(turns, tokenize=True, return_dict=False, add_generation_prompt=True)
    whole = ask([*turns, {"role": "assistant", "content": "Row on."}], tokenize=True, return_dict=False)
    row = tiny.renderer.render(LONG, "Row on.", system=system)
    assert list(row.ids) == whole[: len(row.ids)]
    assert whole[len(row.ids) :] == []
    for generation in (False, True):
        assert list(tiny.renderer.prompt(LONG, system=system, generation=generation)) == asked
    assert tiny.renderer.vocabulary == tiny.model.config.vocab_size
