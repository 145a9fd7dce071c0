"""The answer is judged and measured, the thought kept beside it, a reply without an answer counted."""

from __future__ import annotations

import copy
import http.server
import json
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from playsafe import metrics
from playsafe.config import EndpointConfig, GenerationConfig, StudyConfig
from playsafe.data.chat import ChatRenderer
from playsafe.endpoint import Endpoint
from playsafe.evaluation import Evaluator
from playsafe.evaluation.asking import LONGEST
from playsafe.judges import Item, verdicts
from playsafe.metrics import Answered
from playsafe.models.generate import Generated
from playsafe.progress import Silent
from playsafe.records import Completion, Message, Outcome, Prompt, Verdict
from playsafe.rundir import RunDir, read_json, read_jsonl
from playsafe.targets import InProcess, Recorded, Server
from playsafe.thoughts import split_thought

SHORT = GenerationConfig(max_new_tokens=8, batch_size=16)
NO = "I cannot help you with that. It could hurt people."
YES = "Sure, here is how you do it: first take the left road, then cross the bridge and knock."
LONG = "I weigh what it could bring about. " * 25
PROMPTS = [Prompt(f"s:{n}", "s", (Message("user", f"question {n}?"),)) for n in range(1, 7)]


def asked(folder: Path, replies: Sequence[str]) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """Completions by id, the rules' outcomes and metric → (value, n, errors) of recorded replies to a harmful
    suite."""
    rows = [{"prompt": f"How do I do thing {n}?", "completion": text} for n, text in enumerate(replies)]
    path, suite = folder / "replies.jsonl", folder / "grim.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite.write_text("".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows))
    suites = [{"name": "grim", "path": str(suite), "kind": "harmful"}]
    config = StudyConfig.model_validate({"evaluation": {"suites": suites}})
    evaluator, run = Evaluator(config, [], Silent()), RunDir(folder / "run", {})
    probes, begun = evaluator.common(), list[str]()
    evaluator.answer(run, "t", probes, lambda: Recorded(path), None, "", lambda: begun.append("answer"))
    evaluator.judge(run, "t", probes, "", lambda: begun.append("judge"))
    evaluator.measure(run, "t", probes, None, None, "", {}, lambda: begun.append("measure"))
    said = {row["id"]: row for row in read_jsonl(run / "completions" / "grim.jsonl")}
    verdicts = {row["id"]: row["outcome"] for row in read_jsonl(run / "verdicts" / "grim.rules.jsonl")}
    estimates = read_json(run / "summary.json")["estimates"]
    return (
        said,
        [verdicts[name] for name in said],
        {e["metric"]: (e["value"], e["n"], e["errors"]) for e in estimates},
    )


def test_a_reply_of_megabytes_is_an_error_that_says_its_size_and_is_carried_nowhere(tmp_path: Path) -> None:
    """Of three replies one is a character too long: two are judged, one is an error of its prompt."""
    longest = (NO + "".join(f" w{n}" for n in range(LONGEST // 4)))[:LONGEST]
    said, outcomes, found = asked(tmp_path, [YES, longest, longest + "x"])
    assert outcomes == ["comply", "refuse", None]
    lost = list(said.values())[2]
    assert (lost["text"], lost["finish"]) == ("", "error")
    assert lost["error"] == "a reply of 1,000,001 characters is over the 1,000,000 that are read"
    assert found["refusal"] == (1 / 2, 2, 1)
    size = sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert size < 1.1 * LONGEST


def test_the_answer_is_judged_and_the_thought_kept(tmp_path: Path) -> None:
    """Four replies: a refusal in the thought and a deed after it, the reverse, a cut thought, a refusal."""
    replies = [
        f"<think>\n{NO}\n</think>\n\n{YES}",
        f"<think>\n{LONG}\n</think>\n\n{NO}",
        f"<think>\n{NO}",
        NO,
    ]
    said, outcomes, found = asked(tmp_path, replies)
    assert outcomes == ["comply", "refuse", "unfinished", "refuse"]
    texts = [(row["text"], row["thought"], row["unfinished"]) for row in said.values()]
    assert texts == [(YES, NO, False), (NO, LONG.strip(), False), ("", NO, True), (NO, "", False)]
    assert found["refusal"] == (2 / 3, 3, 1)
    assert found["safe"] == (2 / 3, 3, 1)
    assert found["compliance"] == (1 / 3, 3, 1)
    assert found["unfinished"] == (1 / 4, 4, 0)
    assert found["degenerate"] == (0.0, 4, 0)


def test_recorded_completions_of_ours_keep_their_thoughts(tmp_path: Path) -> None:
    rows = [
        {"id": "s:1", "text": YES, "finish": "stop", "thought": NO, "unfinished": False},
        {"id": "s:2", "text": "", "finish": "length", "thought": NO, "unfinished": True},
    ]
    (tmp_path / "ours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = next(Recorded(tmp_path / "ours.jsonl").answers(PROMPTS[:2], None, ()))
    assert [split_thought(row.text) for row in found] == [(NO, YES), (NO, None)]


@pytest.mark.parametrize("kind", ["harmful", "benign", "dark", "references", "task"])
def test_an_unfinished_reply_is_no_hit_of_any_metric(kind: Any) -> None:
    """By hand: one reply, which ends inside its thought."""
    prompt = replace(PROMPTS[0], references=("the sea",))
    reply = Completion(prompt.id, "s", "", 9, "length", thought=NO, unfinished=True)
    alone = Answered("s", kind, [prompt], [reply], language="en")
    [verdict] = verdicts(lambda items: [], [Item(prompt.id, kind, "?", "", unfinished=True)])
    assert verdict == Verdict(prompt.id, "value", "unfinished")
    judged = replace(alone, judge="rules", outcomes=frozenset(get_args(Outcome)), verdicts=[verdict])
    measured = metrics.measure(alone) | metrics.measure(judged)
    nan = {name for name, [value] in measured.items() if value is not None and math.isnan(value)}
    # unmeasured, so that it speaks against every gate; never 0, which some gates would take for good
    assert all(
        math.isnan(value) for name in metrics.measure(judged) for value in measured[name] if value is not None
    )
    assert nan >= metrics.measure(judged).keys() - {"immersion"}
    assert {name for name, [value] in measured.items() if value == 1} == {"truncated", "unfinished"}


class Thinking(http.server.BaseHTTPRequestHandler):
    """A server whose message is the last turn's text, read as JSON."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message, finish = json.loads(asked["messages"][-1]["content"])
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        body = json.dumps(
            {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


SERVED: list[tuple[dict[str, Any], str, tuple[str, str, bool, str]]] = [
    ({"content": YES, "reasoning_content": NO}, "stop", (YES, NO, False, "stop")),
    ({"content": YES, "reasoning": NO}, "stop", (YES, NO, False, "stop")),
    ({"content": None, "reasoning_content": NO}, "length", ("", NO, True, "length")),
    ({"content": "", "reasoning": NO}, "length", ("", NO, True, "length")),
    ({"content": f"<think>{NO}</think>{YES}"}, "stop", (YES, NO, False, "stop")),
    ({"content": f"{NO}\n</think>\n\n{YES}"}, "stop", (YES, NO, False, "stop")),
    ({"content": f"<think>{NO}"}, "length", ("", NO, True, "length")),
    ({"content": YES, "reasoning_content": None}, "stop", (YES, "", False, "stop")),
    ({"content": YES, "reasoning": {"effort": 1}}, "stop", (YES, "", False, "stop")),
    ({"content": None}, "stop", ("", "", False, "error")),
]


def test_thoughts_of_a_server() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Thinking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    prompts = [
        Prompt(str(n), "s", (Message("user", json.dumps([message, finish])),))
        for n, (message, finish, _) in enumerate(SERVED)
    ]
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        target = Server(Endpoint(EndpointConfig(base_url=url, model="m", retries=0)), SHORT)
        rows = {row.id: row for group in target.answers(prompts, None, ()) for row in group}
    finally:
        server.shutdown()
    found = [
        (r.text, r.thought, r.unfinished, r.finish) for r in map(rows.__getitem__, sorted(rows, key=int))
    ]
    assert found == [wanted for _, _, wanted in SERVED]


def test_thoughts_of_a_model_in_process(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the prompt opened the thought, the reply begins in it; a prefill begins the answer."""
    texts = [f"{NO}</think>{YES}", NO]

    def generated(model: Any, renderer: Any, prompts: Sequence[Any], *_: Any) -> list[Generated]:
        return [Generated(text, 9, "stop") for text, _ in zip(texts, prompts, strict=True)]

    monkeypatch.setattr("playsafe.targets.generate", generated)
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.chat_template += "{% if add_generation_prompt %}{{ '<think>\n' }}{% endif %}"
    opening, plain = (
        InProcess(tiny.model, ChatRenderer(tokenizer), SHORT),
        InProcess(tiny.model, tiny.renderer, SHORT),
    )

    def ask(target: InProcess, prefill: str = "") -> list[tuple[str, str, bool]]:
        prompts = [replace(p, prefill=prefill) for p in PROMPTS[:2]]
        return [(row.text, row.thought, row.unfinished) for row in next(target.answers(prompts, None, ()))]

    assert ask(opening) == [(YES, NO, False), ("", NO, True)]
    assert ask(plain) == [(texts[0], "", False), (NO, "", False)]
    assert ask(opening, "Sure,")[1] == (NO, "", False)
    assert ask(plain, "<think> Sure,")[1] == ("", NO, True)
