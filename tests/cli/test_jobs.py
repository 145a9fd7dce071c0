"""Jobs in run directories: two processes as one, kills, locks, failures, parts of a study."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import playsafe
from playsafe import api
from playsafe.config import load_study
from playsafe.errors import BadInput, Busy, SystemFault
from playsafe.executors import processes
from playsafe.progress import Silent
from playsafe.rundir import EVENTS, locked, read_json, read_jsonl, write_json
from playsafe.study.plan import Plan

SMALL: dict[str, Any] = {
    "roles": {"names": ["Oluna", "Skarn"]},
    "data": {"limit": 64},
    "training": {
        "lora": {"r": 4},
        "learning_rate": 5e-3,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 1,
        "save_steps": 2,
    },
    "evaluation": {
        "suites": [{"name": "harmful", "path": "tiny:harmful", "limit": 16}],
        "generation": {"max_new_tokens": 16, "batch_size": 8},
    },
}
ARMS = [
    {"name": "half", "from": "sft", "edit": {"name": "interpolate", "options": {"factor": 0.5}}},
    {"name": "guided", "from": "half", "decode": {"name": "guidance", "options": {"alpha": 0.5}}},
]


def study(tmp_path: Path, name: str = "out", **more: Any) -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"output_dir": str(tmp_path / name)} | more))
    return path


def start(config: Path, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "playsafe.cli", "run", str(config), "--quiet", *more]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def numbers(out: Path) -> dict[str, Any]:
    """Everything that a table is made of, by run directory."""
    kept = ("estimates", "share", "flagged", "suites", "errors")
    found = {}
    for path in sorted(out.rglob("summary.json")):
        summary = read_json(path)
        found[path.parent.relative_to(out).as_posix()] = {key: summary.get(key) for key in kept}
    return found


def done(out: Path) -> Counter[str]:
    """How often each job was done."""
    return Counter(
        f"{event['job']}:{path.parent.relative_to(out).as_posix()}"
        for path in out.rglob(EVENTS)
        for event in read_jsonl(path)
        if event["event"] == "done"
    )


def events(out: Path) -> list[dict[str, Any]]:
    """All events of a study, in the order of their time."""
    found = [event for path in out.rglob(EVENTS) for event in read_jsonl(path)]
    return sorted(found, key=lambda event: event["time"])


def children(parent: int) -> list[int]:
    """Processes that a process has started, those that only wait for others aside."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
    lines = [line.strip().split(None, 1) for line in found.stdout.splitlines()]
    return [int(pid) for pid, command in lines if "spawn_main" in command]


@pytest.mark.slow
def test_two_processes_equal_one_and_kills_change_nothing(tmp_path: Path) -> None:
    """A worker or the parent is killed at seven random moments; then the tables are those of a run in one
    process, every job was done once, and no lock is left."""
    whole = study(tmp_path, "whole", arms=ARMS, methods=["sft", "sarft"])
    assert playsafe("run", str(whole), "--quiet") == 0
    expected = numbers(tmp_path / "whole")
    assert len(expected) == 1 + 2 * (1 + 1 + 4)  # base; per role base, scores, sft, sarft, half, guided
    config = study(tmp_path, "killed", arms=ARMS, methods=["sft", "sarft"])
    rng, killed, hit = random.Random(11), tmp_path / "killed", []
    workers = ("--executor", "processes", "--workers", "2")
    process = start(config, *workers)
    for number in range(7):
        before = len(events(killed))
        while process.poll() is None and len(events(killed)) == before:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 1.0))
        if process.poll() is not None:
            break
        hit.append(events(killed)[-1]["job"])
        victims = children(process.pid)
        if number % 2 and victims:
            os.kill(rng.choice(victims), signal.SIGKILL)
        else:
            process.kill()
            process.wait(30)
            process = start(config, *workers)
    assert len(hit) == 7, hit
    assert len({*hit}) > 2, hit
    code = process.wait(300)
    while code:  # a job whose worker died three times has failed; the command is repeated
        process = start(config, *workers)
        code = process.wait(300)
        assert code == 0, process.stderr and process.stderr.read()
    assert numbers(tmp_path / "killed") == expected
    plan = Plan(load_study(config))
    assert done(tmp_path / "killed") == Counter(dict.fromkeys(plan.jobs, 1))
    assert all(plan.state(job) == "done" for job in plan.jobs.values())
    assert not list((tmp_path / "killed").rglob(".lock*"))
    assert playsafe("run", str(config), "--quiet") == 0
    assert done(tmp_path / "killed") == Counter(dict.fromkeys(plan.jobs, 1))  # nothing is done again


def test_two_processes_on_one_directory_are_one_refusal(tmp_path: Path) -> None:
    """While another process holds the study, nothing is touched; a dead one holds nothing."""
    out = tmp_path / "out"
    holder = (
        "import sys, time; from pathlib import Path; from playsafe.rundir import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    before = sorted(out.rglob("*"))
    with pytest.raises(BadInput, match="another process is at work"):
        api.run(load_study(study(tmp_path)))
    assert sorted(out.rglob("*")) == before
    process.kill()
    process.wait(30)
    with locked(out):
        pass
    assert not list(out.rglob(".lock"))


CYCLE = """
import os, sys, time
from pathlib import Path
from playsafe.errors import BadInput
from playsafe.rundir import append_once, locked
root, mark, end = Path(sys.argv[1]), Path(sys.argv[2]), time.monotonic() + 1.5
held = together = 0
while time.monotonic() < end:
    try:
        with locked(root, 0.2):
            held += 1
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                together += 1
            for file in root.glob(".lock*"):
                file.unlink()  # whoever tidies up
            time.sleep(0.001)
            mark.unlink()
    except BadInput:
        pass
for n in range(20):
    append_once(root.parent / "cache" / "answers.jsonl", {"key": str(n)})
print(held, together)
"""


def test_no_two_processes_ever_hold_a_directory(tmp_path: Path) -> None:
    """Three of them take it as often as they can, delete its lock files, and leave it empty each time."""
    command = [sys.executable, "-c", CYCLE, str(tmp_path / "out"), str(tmp_path / "mark")]
    some = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].split() for process in some]
    assert [process.returncode for process in some] == [0, 0, 0]
    assert sum(int(held) for held, _ in said) > 10
    assert [together for _, together in said] == ["0", "0", "0"]
    rows = read_jsonl(tmp_path / "cache" / "answers.jsonl")
    assert Counter(row["key"] for row in rows) == Counter(map(str, range(20)))


def test_a_part_and_the_whole_exclude_each_other_and_two_parts_do_not(tmp_path: Path) -> None:
    with locked(tmp_path, name="-1-of-2"):
        with locked(tmp_path, name="-2-of-2"):
            pass
        for name in ("", "-1-of-2"):
            with pytest.raises(Busy, match="another process"), locked(tmp_path, name=name):
                pass
    with locked(tmp_path), pytest.raises(Busy), locked(tmp_path, name="-1-of-2"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(SystemFault, match="no directory"), locked(tmp_path / "file"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("second", ["run", "shard"])
def test_two_commands_at_once_write_no_line_twice(tmp_path: Path, second: str) -> None:
    """One does the work; the other is refused with an exit code of its own."""
    config = study(tmp_path, roles={"names": ["Oluna"]})
    some = [start(config), start(config, *(["--shard", "1/2"] if second == "shard" else []))]
    codes = sorted(process.wait(300) for process in some)
    assert codes in ([0, 5], [0, 0])  # the later one may find everything done
    if codes == [0, 5]:
        said = "".join(process.stderr.read() for process in some if process.stderr is not None)
        assert "another process is at work" in said
    assert playsafe("run", str(config), "--quiet") == 0  # what a part leaves to others
    for file in (tmp_path / "out").rglob("*.jsonl"):
        lines = file.read_text().splitlines()
        assert len(lines) == len({*lines}), file
    assert done(tmp_path / "out") == Counter(dict.fromkeys(Plan(load_study(config)).jobs, 1))


def test_a_job_that_fails_is_a_row_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One target cannot be read; the other one is evaluated, the page is written, the exit code says so."""
    replies = tmp_path / "replies.jsonl"
    replies.write_text("".join(f'{{"id": "harmful:{n}", "completion": "No."}}\n' for n in range(1, 17)))
    other = tmp_path / "adapter"
    other.mkdir()
    targets = [{"name": "good", "completions": str(replies)}, {"name": "bad", "adapter": str(other)}]
    given = {"evaluation": SMALL["evaluation"] | {"generation": {}}, "targets": targets}
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump({"output_dir": str(tmp_path / "out"), **given}))
    assert playsafe("evaluate", str(config), "--quiet") == 2
    said = capsys.readouterr().err
    assert "answer bad" in said
    assert "no adapter_config.json" in said
    assert (tmp_path / "out" / "report.html").exists()
    plan = api.plan(load_study(config))
    states = {job.id: plan.state(job) for job in plan.jobs.values()}
    assert states["measure:no_role/good"] == "done"
    assert (states["answer:no_role/bad"], states["measure:no_role/bad"]) == ("failed", "missing")
    assert playsafe("plan", str(config), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["kind"], row["failed"]) for row in shown["kinds"]] == [
        ("answer", 1),
        ("judge", 0),
        ("measure", 0),
    ]
    [failed] = [job for job in shown["jobs"] if job["state"] == "failed"]
    assert "adapter_config.json" in failed["last"]["error"]
    waiting = [f"{kind}:no_role/bad" for kind in ("answer", "judge", "measure")]
    assert [job.id for job in plan.select(["failed"])] == waiting


# --- the plan -----------------------------------------------------------------------------------------------


def planned(tmp_path: Path, **more: Any) -> Plan:
    return Plan(load_study(study(tmp_path, **more)))


def test_needs_come_first_and_arms_keep_role_and_seed(tmp_path: Path) -> None:
    plan = planned(tmp_path, methods=["sft", "sarft"], arms=ARMS, seeds=[3, 4])
    seen: set[str] = set()
    for job in plan.jobs.values():
        assert seen >= {*job.needs}, job.id
        seen.add(job.id)
    assert plan.jobs["train:Skarn/sarft/seed-3"].needs == ("score:Skarn/scores",)
    assert plan.jobs["train:Skarn/sft/seed-3"].needs == ()
    assert plan.jobs["edit:Skarn/half/seed-4"].needs == ("train:Skarn/sft/seed-4",)
    assert plan.jobs["answer:Skarn/guided/seed-4"].needs == ("edit:Skarn/half/seed-4",)
    assert plan.jobs["measure:base"].needs == ("judge:base",)
    kinds = Counter(job.kind for job in plan.jobs.values())
    assert kinds == {"score": 2, "train": 8, "edit": 4, "answer": 19, "judge": 19, "measure": 19}


def test_parts_of_a_study_need_nothing_of_each_other(tmp_path: Path) -> None:
    plan = planned(tmp_path, methods=["sft", "sarft"], arms=ARMS, roles={"path": "tiny"}, seeds=[0, 1])
    parts = [[job.id for job in plan.select(shard=(i, 3))] for i in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(plan.jobs)
    for part in parts:
        assert {need for name in part for need in plan.jobs[name].needs} <= {*part}
    assert len(plan.select(["train"], limit=5)) == 5
    with pytest.raises(BadInput, match="Did you mean 'judge'"):
        plan.select(["juge"])


def test_other_settings_make_a_job_missing_again(tmp_path: Path) -> None:
    """A judge more leaves answers done; another suite does not; another λ leaves the other arm."""

    def states(**more: Any) -> dict[str, str]:
        plan = planned(tmp_path, **more)
        jobs = {job.kind: job for job in plan.jobs.values() if job.arm in ("sarft", "rds")}
        return {kind: plan.state(job) for kind, job in jobs.items()}

    plan = planned(tmp_path, roles={"names": ["Skarn"]})
    for job in plan.jobs.values():
        path = plan.root / job.place / EVENTS
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps({"job": job.kind, "event": "done", "settings": job.settings}) + "\n")
    one: dict[str, Any] = {"roles": {"names": ["Skarn"]}}
    every = dict.fromkeys(("score", "train", "answer", "judge", "measure"), "done")
    assert states(**one) == every
    judged = SMALL["evaluation"] | {"judges": ["rules", "keywords"]}
    assert states(**one, evaluation=judged) == every | {"judge": "missing", "measure": "missing"}
    asked = SMALL["evaluation"] | {"system": ["none", "role"]}
    later = dict.fromkeys(("answer", "judge", "measure"), "missing")
    assert states(**one, evaluation=asked) == every | later
    methods = ["sft", {"name": "sarft", "options": {"lambda": 2.0}}]
    assert states(**one, methods=methods) == every | later | {"train": "missing"}


def test_a_lock_is_taken_whatever_lies_there(tmp_path: Path) -> None:
    """What an earlier process left in the lock's file says nothing; a second holder is refused."""
    write_json(tmp_path / ".lock", {"pid": 1})
    with locked(tmp_path), pytest.raises(BadInput, match="another process"), locked(tmp_path):
        pass


def test_workers_that_nobody_heeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="here works in one process"):
        api.run(load_study(study(tmp_path)), workers=2)


@pytest.mark.slow
def test_a_worker_that_died_while_it_waited_is_replaced(tmp_path: Path) -> None:
    plan = api.plan(load_study(study(tmp_path)))
    pool = processes._Pool(plan, plan.select(["score"]), 1, Silent())
    pool._start()
    dead = pool.idle[0][1]
    dead.kill()
    dead.join()
    try:
        found = pool.work()  # two jobs: one for its own worker, one for the dead one
    finally:
        pool.end()
    assert [outcome.state for outcome in found] == ["done", "done"]


@pytest.mark.slow
def test_targets_stand_beside_trained_arms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One study trains an arm and asks somebody else; both are on the page and none is called missing."""
    replies = tmp_path / "replies.jsonl"
    replies.write_text("".join(f'{{"id": "harmful:{n}", "completion": "No."}}\n' for n in range(1, 17)))
    targets = [{"name": "theirs", "completions": str(replies)}]
    config = study(tmp_path, roles={"names": ["Skarn"]}, methods=["sft"], targets=targets)
    assert playsafe("run", str(config), "--json") == 0
    rows = json.loads(capsys.readouterr().out)["table"]
    assert [(row["role"], row["method"]) for row in rows] == [
        ("all roles", "base"),
        ("no role", "theirs"),
        ("Skarn", "sft"),
    ]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "PlaySafe study" in page
    assert "are not finished" not in page


@pytest.mark.slow
def test_whole_models_are_edited_where_the_model_is(tmp_path: Path) -> None:
    """Full fine-tuning, then nothing of it: the aligned model's replies to the byte, on whatever device."""
    none = {"name": "none", "from": "sft", "edit": {"name": "interpolate", "options": {"factor": 0}}}
    config = study(
        tmp_path,
        roles={"names": ["Skarn"]},
        training=SMALL["training"] | {"lora": None, "learning_rate": 1e-3},
        methods=["sft"],
        arms=[none],
    )
    assert playsafe("run", str(config), "--quiet") == 0

    def replies(run: str) -> list[str]:
        path = tmp_path / "out" / run / "completions" / "harmful.jsonl"
        return [row["text"] for row in read_jsonl(path)]

    assert replies("Skarn/none/seed-0") == replies("base") != replies("Skarn/sft/seed-0")
