"""Bad command lines: values of every key of a study, hostile names and paths, options at odds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

import bad_inputs_world as world

REFUSED, EITHER = frozenset({2}), frozenset({0, 1, 2, 4})
Drawn = tuple[str, str, str, tuple[str, ...], Callable[[Path, Any], None], frozenset[int]]

# of roles, suites, labels: the tool's own files, other systems' names, markup, what terminals obey
NAMES = (
    *("config.yaml", "summary.json", "events.jsonl", "study.json", "report.html", ".lock", "gate.json"),
    *("cache", "base", "scores", "no_role", "seed-0", "adapter", "..", ".", "con", "NUL.txt", "a/b", "../x"),
    *("../../canary/x", "/etc/x", "a\\b", "~", "~root", "x" * 300, "é" * 200, " ", "\u200b"),
    *(" lead ", "trail.", "\x1b[31mred", "\x9b31m", "\u202eevil"),
    *("\u2066a", "[/]", "[bold]", "[link=x]a", "\ud800"),
    *("a\0b", "a\nb", "{role}", "{0}", "%s", "$(id)", "`id`", "<script>alert(1)</script>", "name"),
    *("Ａ", "ﬁ", "-rf", "--set", "=", "@"),
)  # fmt: skip
PATHS = (
    *("", " ", ".", "..", "/", "~", "~nosuchuser/x.json", "~nosuchuser/x.yaml", "/dev/null", "/dev/zero"),
    *("/dev/stdin", "/proc/self/mem", "/proc/self/environ", "x" * 300 + ".json", "x/" * 3000 + "a.json"),
    *("\x1b[31mred.json", "\x9b31m.yaml", "\u202efdp.jsonl", "[/].json", "[bold]x.yaml", "{role"),
    *("{0}.jsonl", "{role.__class__}.jsonl", "a\nb.json"),
    *("\udce9.json", "tiny:", "tiny:nothing", "tiny:harmful:xx"),
    *("tiny/", "TINY", "https://example.org/x.json", "file:///etc/passwd", "study.yaml/x.json"),
    *("nothing.parquet", "no-suffix", "-"),
)  # fmt: skip
ADAPTER: tuple[tuple[str, Any], ...] = (
    ("target_modules", "(a+)+$"),
    ("target_modules", "(.*)*q_proj(.*)*x"),
    ("target_modules", "(((a?){50}){50}){50}"),
    ("target_modules", "["),
    ("target_modules", ["nothing_proj"]),
    ("target_modules", []),
    ("target_modules", [1, None]),
    ("target_modules", {"q_proj": 1}),
    ("r", 0),
    ("r", -2),
    ("r", 10**12),
    ("r", "2"),
    ("r", None),
    ("lora_alpha", "x"),
    ("lora_alpha", None),
    ("lora_alpha", float("nan")),
    ("lora_dropout", 7),
    ("peft_type", "NOTHING"),
    ("peft_type", None),
    ("peft_type", "../x"),
    ("task_type", "SEQ_CLS"),
    ("task_type", 5),
    ("modules_to_save", ["nothing"]),
    ("modules_to_save", 5),
    ("rank_pattern", {"(a+)+$": 2}),
    ("rank_pattern", {"q_proj": "x"}),
    ("alpha_pattern", {"q_proj": None}),
    ("layers_to_transform", [99]),
    ("layers_to_transform", "x"),
    ("layers_pattern", "(a+)+$"),
    ("bias", "everything"),
    ("fan_in_fan_out", "x"),
    ("auto_mapping", {"base_model_class": "os.system", "parent_library": "os"}),
    ("trainable_token_indices", [10**9]),
)
TEMPLATES = {
    "syntax": "{% for m in messages %}{{ m['role'] }",
    "nested loops": "".join(f"{{% for a{n} in range(9999) %}}" for n in range(5)) + "x" + "{% endfor %}" * 5,
    "large text": "{{ 'x' * 10**10 }}",
    "large range": "{{ range(10**12) | list }}",
    "large power": "{{ 9 ** 9 ** 9 }}",
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep blocks": "{% if true %}" * 2000 + "{% endif %}" * 2000,
    "recursive macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "escape of the sandbox": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "import": "{% import 'os' as os %}{{ os }}",
    "include": "{% include '/etc/passwd' %}",
    "undefined": "{{ messages[0].nothing.more }}",
    "division": "{{ 1 / 0 }}",
    "unknown filter": "{{ messages | nothing }}",
    "raises": "{{ raise_exception('\x1b[31m[/]no') }}",
    "constant": "always the same",
    "number": "{{ 7 }}",
    "format": "{{ '%999999999d' | format(1) }}",
}
KEYED: tuple[tuple[str, tuple[str, ...]], ...] = (  # what a key of a kind is set to, YAML
    ("any", ("{a: 1}", "[[1]]", "!!python/name:os.system", "[", "&a [*a]", "2020-13-45")),
    (
        "number",
        ("nan", ".inf", "-.inf", "1e400", "x", "''", "true", "9" * 5000, "-1", "-9223372036854775809"),
    ),
    ("text", ("7", "''", "' '", r'"\e[31mred"', r'"\u202eabc"', "'[/]'", r'"a\0b"', "../../x", "x" * 5000)),
    ("list", ("x", "7", "[]", "[null]", "[1]", "[[]]", "['', '']", "[a, a]")),
    ("choice", ("x", "''", "7", "null", "[]")),
)
READERS = ("roles", "data pairs", "show", "report", "plan")
SEEDS = ("-1", "4294967296", "18446744073709551616", "9" * 4000, "1.5", "x", "null", "true")
MISUSE: tuple[tuple[str, tuple[str, ...]], ...] = (
    *(("run", ("study.yaml", "--shard", s)) for s in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", "")),
    ("run", ("study.yaml", "--shard", "١/٢")),
    *(("run", ("study.yaml", "--shard", s)) for s in ("9" * 5000 + "/" + "9" * 5000, "²/²", "1/99999999999")),
    *(("run", ("study.yaml", "--only", s)) for s in ("", "x", "score,train", "[/]", "\x1b[31mx")),
    *(("run", ("study.yaml", "--limit", s)) for s in ("0", "-1", "x", "1.5", "9" * 5000, "")),
    *(("run", ("study.yaml", "--workers", s)) for s in ("0", "-3", "x", "2")),
    *(("run", ("study.yaml", "--executor", s)) for s in ("", "x", "[bold]", "\x1b[31mx", "a:b", "os:system")),
    ("run", ("study.yaml", "--executor", "here", "--workers", "3")),
    *((verb, ("study.yaml", "--gate", gate)) for verb in ("run", "evaluate") for gate in (
        *("", "x", "refusal", "refusal >= x", "refusal > 0.5", "refusal >= 2", "refusal >= -1"),
        *("refusal >= 500 %", "nothing >= 0.5", "refusal >= 0.5 or 1"),
        *("nosuite:refusal >= 0.5", "refusal >= nan", "[/] >= 1"),
        *("refusal >= " + "9" * 5000, "perplexity <= base", "refusal >= base - 9"),
        *("refusal == 1", "\x1b[31m >= 1", "reward_gap >= 1"),
        *("(a+)+$:refusal >= 0.5", "[:refusal >= 0.5", "refusal ≥ 0.9"),
    )),
    *((verb, ("study.yaml", "--set", text)) for verb in ("plan", "run") for text in (
        *("", "=", "=1", "a", "training", "training=", "training.=1", ".training=1", "training..lora=1"),
        *("name.x=1", "seeds.0=1", "methods.0.name=sft", "evaluation.suites.harm.limit=1", "__class__=1"),
        *("\x1b[31m=1", "[/]=1", "training.lr=1"),
        *("trainings.learning_rate=1", "model.name_or_path=", "a." * 5000 + "b=1"),
        "name=" + "[" * 50_000,
    )),
    *(("evaluate", (f"--{option}", text)) for option in ("adapter", "completions") for text in (
        *("", "=", "x=", "=x", "x", "x@=y", "@=y", "x@nobody=replies.jsonl", "a/b=replies.jsonl"),
        *("../x=replies.jsonl", "\x1b[31m=replies.jsonl", "[/]=replies.jsonl"),
        *("base=nothing", "x==y", "x" * 300 + "=y"),
    )),
    *(("evaluate", ("--endpoint", url, "--endpoint-model", "m")) for url in (
        *("", "x", "http://"),
        *("file:///etc/passwd", "http://[::1", "http://127.0.0.1:99999/v1", "ftp://127.0.0.1/v1"),
        *("http://a b/v1", "http://\x1b[31m/v1", "javascript:alert(1)", "http://127.0.0.1:9/v1\r\nX: y"),
    )),
    ("evaluate", ()),
    ("evaluate", ("--endpoint", "http://127.0.0.1:9/v1")),
    ("evaluate", ("--endpoint-model", "m")),
    ("evaluate", ("--completions", "x=replies.jsonl", "--completions", "x=replies.jsonl")),
    ("evaluate", ("--completions", "x=replies.jsonl", "--adapter", "x=adapter")),
    ("gap", ("--model", "tiny", "--adapter", "nothing")),
    ("gap", ("study.yaml", "--role", "nobody")),
    ("gap", ("--role", "\x1b[31m")),
    ("gap", ("--role", "")),
    ("gap", ("--role", "Skarn", "--role", "Skarn", "--limit", "1", "--language", "de")),
    ("gap", ("--limit", "0")),
    *(("gap", ("--language", code, "--limit", "1")) for code in ("", "xx", "[/]", "\x1b[31m", "EN", "de,fr")),
    ("gap", ("--language", "de", "--language", "de", "--limit", "1")),
    *(("data pairs", ("tiny", "--dominant", code)) for code in ("", "xx", "[/]", "\x1b[31m", "EN")),
    *(("data preview", ("study.yaml", *more)) for more in (
        *(("--rows", "0"), ("--rows", "-1"), ("--rows", "9" * 5000), ("--role", "nobody"), ("--role", "")),
        *(("--role", "\x1b[31m"), ("--role", "[/]")),
    )),
    *((verb, more) for verb in ("suites", "methods", "attacks", "judges", "doctor", "roles") for more in (
        ("--nothing",), ("extra", "extra"), ("--json=7",), ("\x1b[31m[/]", "x"),
    )),
    *((verb, ()) for verb in ("run", "score", "train", "plan", "report", "show", "data preview")),
    *((verb, ("study.yaml", "study.yaml")) for verb in ("run", "score", "train", "plan", "evaluate", "gap")),
    *(("quickstart", more) for more in (
        *(("extra",), ("--set", "nothing=1"), ("--gate", "x"), ("--out", "/dev/null")),
        *(("--out", "study.yaml"), ("--set", "output_dir=x")),
        *(("--out",), ("--set", "methods=[]", "--set", "seeds=[]")),
    )),
    ("nothing", ()),
    ("\x1b[31m[/]", ()),
    ("--nothing", ()),
)  # fmt: skip


def _plain(folder: Path, shared: Any) -> None:
    world.study(folder)
    (folder / "replies.jsonl").write_bytes(world.content_of("jsonl", world.REPLIES))
    (folder / "suite.jsonl").write_bytes(world.content_of("jsonl", world.PROMPTS))


def _leaves(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, str]]:
    """(key, kind of its value) of every key of a study that stands in no list."""
    for name, field in model.model_fields.items():
        found = [field.annotation, *get_args(field.annotation)]
        inner = next((one for one in found if isinstance(one, type) and issubclass(one, BaseModel)), None)
        key = f"{at}{field.alias or name}"
        text = str(field.annotation)
        if inner is not None and "list" not in text:
            yield from _leaves(inner, f"{key}.")
            yield key, "section"
        elif "dict" in text:
            yield key, "dict"
        elif "list" in text:
            yield key, "list"
        else:
            yield key, "choice" if "Literal" in text else "text" if "str" in text else "number"


def values(rng: random.Random) -> Iterator[Drawn]:
    from playsafe.config import StudyConfig

    verbs = {
        "training": "train",
        "scoring": "score",
        "evaluation": "evaluate",
        "data": "data preview",
        "roles": "score",
    }
    sure = {
        "any": {"section", "number", "text", "list", "choice"},
        "number": {"number"},
        "choice": {"choice"},
    }
    for key, kind in _leaves(StudyConfig):
        if key in ("output_dir", "name"):
            continue
        for group, listed in KEYED:
            wanted = group in ("any", kind) or (group == "text" and kind == "section")
            for value in rng.sample(listed, min(4, len(listed))) if wanted else ():
                verb = rng.choice(("plan", verbs.get(key.split(".")[0], "run")))
                may = kind not in sure.get(group, ()) or value in (
                    "true",
                    "-1",
                    "''",
                    "null",
                    "{a: 1}",
                    "&a [*a]",
                )
                argv = (*verb.split(), "study.yaml", "--set", f"{key}={value}")
                yield (
                    verb,
                    f"--set {kind}",
                    f"{key}={ascii(value)[:40]}",
                    argv,
                    _plain,
                    EITHER if may else REFUSED,
                )
    for key, verb in (
        ("seeds", "train"),
        ("data.seed", "data preview"),
        ("evaluation.generation.seed", "evaluate"),
    ):
        for value in SEEDS:
            more = ("--set", "evaluation.generation.sampling=model") if "generation" in key else ()
            argv = (
                *verb.split(),
                "study.yaml",
                "--set",
                f"{key}={f'[{value}]' if key == 'seeds' else value}",
                *more,
            )
            huge = value.isdecimal() or value == "-1" or value in ("true", "null")
            yield verb, "--set seeds", f"{key}={value[:30]}", argv, _plain, EITHER if huge else REFUSED


def names(rng: random.Random) -> Iterator[Drawn]:
    """Hostile names of roles, methods, suites, judges and targets."""
    for name in NAMES:
        roles = json.dumps({name: "A cruel king.", "Skarn": "Another."})

        def build(folder: Path, shared: Any, roles: str = roles) -> None:
            _plain(folder, shared)
            (folder / "roles.json").write_text(roles)

        shown = ascii(name)[:40]
        chosen = ("--set", "roles={path: roles.json}")
        yield "roles", "role name", shown, ("roles", "roles.json"), build, EITHER
        yield "roles", "role name, --json", shown, ("roles", "roles.json", "--json"), build, EITHER
        yield "score", "role name", shown, ("score", "study.yaml", *chosen), build, EITHER
        quoted = json.dumps(name)
        for verb, kind, text in (
            ("plan", "label", f"methods=[{{name: sft, label: {quoted}}}]"),
            ("plan", "arm", f"arms=[{{name: {quoted}, train: sft}}]"),
            ("plan", "method", f"methods=[{quoted}]"),
            (
                "evaluate",
                "suite name",
                f"evaluation.suites=[{{name: {quoted}, kind: harmful, path: suite.jsonl}}]",
            ),
            ("evaluate", "judge label", f"evaluation.judges=[{{name: rules, label: {quoted}}}]"),
            ("evaluate", "attack", f"evaluation.attacks=[{quoted}]"),
            ("evaluate", "target", f"targets=[{{name: {quoted}, completions: replies.jsonl}}]"),
            (
                "evaluate",
                "target's role",
                f"targets=[{{name: x, role: {quoted}, completions: replies.jsonl}}]",
            ),
        ):
            if rng.random() < 0.4:
                argv = (verb, "study.yaml", "--set", text)
                yield verb, f"{kind} name", shown, argv, build, EITHER


def paths(rng: random.Random) -> Iterator[Drawn]:
    quote = json.dumps
    for path in PATHS:
        few, keyed = ("--limit", "1", "--language", "de"), quote(path)
        drawn: list[tuple[str, str, tuple[str, ...]]] = [
            *(
                (verb, "argument", (*verb.split(), path))
                for verb in ("roles", "data pairs", "show", "report", "plan")
            ),
            *(
                ("gap", f"--{option}", ("gap", f"--{option}", path, *few))
                for option in ("pairs", "model", "adapter")
            ),
            ("evaluate", "--completions", ("evaluate", "--completions", f"x={path}", *world.SUITE)),
            ("evaluate", "--adapter", ("evaluate", "study.yaml", "--adapter", f"x={path}")),
        ]
        suites = "evaluation.suites=[{name: s, kind: harmful, path: "
        for verb, kind, text in (
            ("plan", "roles.path", f"roles.path={keyed}"),
            ("data preview", "data.path", f"data.path={keyed}"),
            ("data preview", "data.references", f"data.references={keyed}"),
            ("evaluate", "suite path", f"{suites}{keyed}}}]"),
            ("evaluate", "data_dir", f"evaluation={{suites: [advbench], data_dir: {keyed}}}"),
        ):
            drawn.append((verb, kind, (*verb.split(), "study.yaml", "--set", text)))
        for verb, kind, argv in rng.sample(drawn, 9):
            if "\0" in path or (path in (".", "..", "/") and verb in ("show", "report")):
                continue
            good = path == "tiny/" or (path == "" and kind == "--completions")
            yield verb, f"path of {kind}", ascii(path)[:40], argv, _plain, EITHER if good else REFUSED


def misuse(_: random.Random) -> Iterator[Drawn]:
    for verb, more in MISUSE:
        shown = " ".join(ascii(one)[1:-1][:40] for one in more)
        right = {
            "--language de --language de",
            "--workers 2",
            "--limit 9",
            "--rows 9",
            "--role Skarn",
            "gap --model",
        }
        may = any(one in f"{verb} {shown}" for one in right) or "--gate" in more or "9999/9" in shown
        yield verb, "misuse", shown, (*verb.split(), *more), _plain, EITHER if may else REFUSED
