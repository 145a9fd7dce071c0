"""Bad options of methods, attacks and judges, bad modules of the user's, and bad lists of a study."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bad_inputs_world as world
from bad_inputs_options import EITHER, REFUSED, Drawn

VALUES = (
    *("{a: 1}", "[[1]]", "null", "nan", ".inf", "-1", "0", "x", "''", "true", "7", "1e308"),
    *("9" * 4000, "-1e-320", r'"\e[31mred"', "'[/]'", r'"a\0b"', "../../x", "[]", "['']", "(a+)+$"),
)  # fmt: skip
MODULES = {  # what mine.py holds
    "syntax error": "def (:\n",
    "raises": "raise RuntimeError('\\x1b[31m[/]no')\n",
    "leaves": "import sys\nsys.exit(0)\n",
    "interrupts": "raise KeyboardInterrupt\n",
    "nothing": "",
    "is null": "METHOD = ATTACK = JUDGE = SCORER = EXECUTOR = EDIT = DECODER = METRIC = STREAM = None\n",
    "is a text": "METHOD = ATTACK = JUDGE = SCORER = EXECUTOR = EDIT = DECODER = METRIC = STREAM = 'x'\n",
    "is an empty class": "class METHOD: pass\nATTACK = JUDGE = EXECUTOR = EDIT = DECODER = METHOD\n",
    "binary": "\x00\x01",
    "deep": "x = " + "(" * 3000 + ")" * 3000 + "\n",
    "imports what is missing": "import nothing_of_the_kind\n",
}
PLUGINS = (
    ("plan", "method", "methods=[{name}]"),
    ("train", "method", "methods=[{name}]"),
    ("evaluate", "attack", "evaluation.attacks=[{name}]"),
    ("evaluate", "judge", "evaluation.judges=[{name}]"),
    ("plan", "edit", "arms=[{{name: h, from: base, edit: {name}}}]"),
    ("plan", "decoder", "arms=[{{name: h, from: base, decode: {name}}}]"),
    ("plan", "scorer", "methods=[{{name: sarft, options: {{scorer: {name}}}}}]"),
)
NOT_MODULES = (
    "os",
    "os.path",
    "json:dumps",
    "playsafe",
    ".mine",
    "mine:",
    ":METHOD",
    "mine:NOTHING",
    "a..b",
    "this.x",
)
# keys that nobody may mean; those behind a question mark may also be taken
LISTS = """\
seeds=[]
seeds=[0, 0]
seeds=[a]
seeds=0
seeds=[[0]]
? methods=[]
methods=[sft, sft]
methods=[null]
methods=[{label: x}]
methods=[{name: sft, options: [1]}]
methods={name: sft}
methods=[{name: sft, label: base}]
methods=[{name: sft, x: 1}]
methods=[mpo]
methods=[7]
arms=[{name: a}]
arms=[{name: a, from: a, edit: interpolate}]
arms=[{name: a, from: sft}]
arms=[{name: a, from: nothing, decode: guidance}]
arms=[{name: sft, train: sft}]
arms=[a]
arms=7
arms=[{name: a, train: sft, from: sft, edit: interpolate}]
arms=[{name: base, train: sft}]
arms=[{name: a, from: base, edit: {name: interpolate, options: {factor: 2}}}]
targets=[{name: x}]
targets=[7]
targets=[{name: x, adapter: a, completions: b}]
targets=[{name: x, model: {a: 1}}]
targets=[{name: x, endpoint: {base_url: '', model: ''}}]
targets=[{name: x, endpoint: {model: m}}]
targets=[{name: x, model: ''}]
targets=[{name: x, adapter: ''}]
targets=[{name: ''}]
roles={path: tiny, names: []}
roles={path: tiny, names: [nobody]}
roles={path: tiny, names: [7]}
roles={path: tiny, names: [Skarn, Skarn]}
roles={path: tiny, names: Skarn}
roles=7
roles=[]
roles={path: 7}
? roles={names: [Skarn]}
data={path: tiny, limit: 0}
data={path: tiny, held_out: -1}
data={path: tiny, references: null, held_out: 100000}
data={path: tiny, replies: both}
data=null
data={path: tiny, max_length: 8, overlong: error}
? data={path: tiny, max_length: 8, overlong: drop}
pairs={path: tiny}
pairs={path: tiny, languages: []}
pairs={path: tiny, languages: [xx]}
pairs=7
pairs={path: tiny, dominant: xx}
pairs={path: tiny, system: []}
pairs={path: tiny, limit: 0}
? evaluation.suites=[]
evaluation.suites=[nothing]
evaluation.suites=[{name: s}]
evaluation.suites=7
evaluation.suites=[{name: s, kind: x, path: suite.jsonl}]
evaluation.suites=[{path: suite.jsonl}]
evaluation.suites=[{name: s, path: suite.jsonl}]
evaluation.suites=[advbench]
evaluation.suites=[null]
evaluation.system=[]
evaluation.system=[none, none]
evaluation.system=[x]
evaluation.system=null
evaluation.judges=[]
evaluation.judges=[rules, rules]
evaluation.judges=[nothing]
evaluation=null
evaluation.show=[nothing]
? evaluation.show=[]
evaluation.show=7
evaluation.gates=[7]
evaluation.gates=[null]
evaluation.gates=7
evaluation.stop_early=maybe
evaluation.attacks=[caesar, caesar]
training.extra={nothing: 1}
training.extra={learning_rate: x}
training.extra={output_dir: /}
training.extra={max_steps: 5}
training.extra={seed: -1}
training.extra={deepspeed: nothing.json}
training.optim=nothing
training.lr_scheduler_type=nothing
training.report_to=[nothing]
training.lora={r: 2, target_modules: '(a+)+$'}
training.lora={target_modules: []}
training.lora={target_modules: [nothing]}
training.lora={target_modules: '['}
training.lora={r: 1000000000}
training.lora={init_lora_weights: nothing}
training.max_steps=0
? training.num_train_epochs=1e30
training.learning_rate=1e300
training.weight_decay=-1
training=null
training.max_grad_norm=-1
training.warmup_steps=1e30
model.device=nothing
model.device=cuda:99
model.dtype=int8
model.attn_implementation=nothing
model.revision=nothing
model.template={a: 1}
model.adapter=nothing
model.adapter=''
? model.template={messages: []}
model=null
model=[]
model=tiny
training.max_steps=-5
training.lora.lora_alpha=0
training.lora.lora_alpha=-4
training.num_train_epochs=nan
scoring.threshold=1e308
data.seed=-1
evaluation.generation.seed=-1
name=7
name=''
? name="\\e[31mx"
? name="[/]"
? name="\\u202ex"
? methods=[{name: sft, label: "[/]"}]
? methods=[{name: sft, label: "\\e[31mred"}]
? methods=[{name: sft, label: "../../x"}]
methods=[{name: sft, label: "\\u200b"}]
""".splitlines()
SUITE = (
    *("column: nothing", "column: ''", "subset: x", "subset: ''", "subset: 'a=b'", "subset: '=b'"),
    *("subset: '(a+)+$=b'", "limit: 0", "limit: 1.5", "limit: x", "seed: -1", "seed: 1"),
    *("limit: 1, seed: x", "language: ''", "language: xx", "language: 7", "suite: nothing"),
    *("suite: advbench", "kind: benign", "kind: task", "kind: pairs", "kind: references", "x: 1"),
    *("limit: 1, seed: " + "9" * 4000, 'language: \\"\\e[31m\\"', "column: [a]", "subset: {a: b}"),
)  # fmt: skip


def _files(folder: Path, shared: Any) -> None:
    world.study(folder)
    (folder / "replies.jsonl").write_bytes(world.content_of("jsonl", world.REPLIES))
    (folder / "suite.jsonl").write_bytes(world.content_of("jsonl", world.PROMPTS))


def _options(rng: random.Random) -> Iterator[Drawn]:
    """Every option of everything that is registered, set to what it may not be."""
    from playsafe import attacks, judges, methods

    for registry, what, verb, key in (
        (methods, "method", "plan", "methods=[{{name: {}, options: {{{}: {}}}}}]"),
        (attacks, "attack", "evaluate", "evaluation.attacks=[{{name: {}, options: {{{}: {}}}}}]"),
        (judges, "judge", "evaluate", "evaluation.judges=[{{name: {}, options: {{{}: {}}}}}]"),
    ):
        for name in registry.names():
            fields = registry.get(name).Options.model_fields  # type: ignore[attr-defined]
            for option in [*(field.alias or key for key, field in fields.items()), "nothing"]:
                for value in rng.sample(VALUES, 3):
                    argv = (verb, "study.yaml", "--set", key.format(name, option, value))
                    codes = REFUSED if option == "nothing" or value in ("{a: 1}", "[[1]]") else EITHER
                    codes = EITHER if option == "template" else codes
                    yield verb, f"{what} options", f"{name}.{option}={ascii(value)[:40]}", argv, _files, codes


def _modules() -> Iterator[Drawn]:
    for verb, what, text in PLUGINS:
        for name, content in MODULES.items():

            def build(folder: Path, shared: Any, content: str = content) -> None:
                _files(folder, shared)
                (folder / "mine.py").write_text(content)

            attribute = what.upper()
            argv = (verb, "study.yaml", "--set", text.format(name=f"'mine:{attribute}'"))
            yield verb, f"{what} of the user's", name, argv, build, REFUSED
        for path in NOT_MODULES:
            argv = (verb, "study.yaml", "--set", text.format(name=f"'{path}'"))
            yield verb, f"{what} of the user's", path, argv, _files, REFUSED


def registered(rng: random.Random) -> Iterator[Drawn]:
    yield from _options(rng)
    yield from _modules()
    verbs = {
        "training": "train",
        "evaluation": "evaluate",
        "seeds": "train",
        "targets": "evaluate",
        "model": "score",
    }
    for line in LISTS:  # a plan loads and checks less
        text = line.removeprefix("? ")
        verb = verbs.get(text.partition("=")[0].partition(".")[0], "run")
        for one, codes in (("plan", EITHER), (verb, EITHER if line != text else REFUSED)):
            yield one, "--set list", text[:60], (one, "study.yaml", "--set", text), _files, codes
    for text in SUITE:
        named = "" if "kind" in text else "kind: harmful, "
        value = f"evaluation.suites=[{{name: s, {named}path: suite.jsonl, {text}}}]"
        argv = ("evaluate", "--completions", "x=replies.jsonl", "--out", "out", "--set", value)
        yield "evaluate", "suite options", text[:60], argv, _files, EITHER
