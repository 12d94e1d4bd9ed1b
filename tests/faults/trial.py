"""One trial: bring a container to where a verb starts, strike the verb, ``delete --force``, look for residue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import residue
from points import Point, points_of
from rig import Outcome, Rig, strace_error, strace_record
from verbs import VERBS, Verb


@dataclass
class Report:
    """What one trial showed.

    ``faults`` names what must not be: "residue", "hang" (a command ran into its deadline), "delete" (``delete
    --force`` failed), "traceback" (a Python traceback on stderr), "broken trial" (a step before it failed).
    """

    point: dict[str, str | int]
    struck: bool = False
    faults: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    residue: str = ""
    text: str = ""
    seconds: float = 0.0

    def json(self) -> dict[str, object]:
        return asdict(self)


def record(rig: Rig, verb: Verb) -> list[Point]:
    """Run a verb undisturbed under strace and return its kill points; run twice, so that caches are warm."""
    points: list[Point] = []
    for _ in range(2):
        container_id = rig.next_id()
        _prepare(rig, verb, container_id)
        command = _command(rig, verb, container_id)
        if verb.attached:
            tracer = _attach(rig, container_id, ["-o", str(rig.recording)])
            outcome = rig.run(command)
            _let_go(rig, tracer)
        else:
            outcome = rig.run(strace_record(rig.recording, command))
        if outcome.code != 0:
            raise RuntimeError(f"{verb.name} fails without being struck: {outcome}")
        _delete(rig, container_id)
        points = points_of(
            verb.name, rig.recording, at=verb.at, both=not verb.attached and len(verb.at) > 1, attached=verb.attached
        )
    if verb.kills_init:
        points += [replace(p, victim="both") for p in points]
    return points


def strike(rig: Rig, point: Point) -> Report:
    """Kill at ``point``."""
    verb = VERBS[point.verb]

    def blow(container_id: str) -> tuple[Outcome, bool]:
        command = _command(rig, verb, container_id)
        if verb.attached:
            inject = [
                "-o",
                "/dev/null",
                "-e",
                f"trace={point.syscall}",
                f"--inject={point.syscall}:signal=KILL:when={point.n}",
            ]
            pid = _init_pid(rig, container_id)
            tracer = _attach(rig, container_id, inject)
            outcome = rig.run(command)
            _let_go(rig, tracer)
            return outcome, not _alive(pid)
        if verb.kills_init and point.victim == "both":
            pid = _init_pid(rig, container_id)
            outcome, struck = rig.struck(replace(point, victim="parent"), command)
            if _alive(pid):
                os.kill(pid, signal.SIGKILL)
            return outcome, struck
        return rig.struck(point, command)

    return _trial(rig, verb, Report(point.json()), blow)


def fail(rig: Rig, point: Point, error: str) -> Report:
    """Make the call at ``point`` of the command itself fail with ``error`` (a name as in errno(3))."""
    verb = VERBS[point.verb]

    def blow(container_id: str) -> tuple[Outcome, bool]:
        outcome = rig.run(strace_error(point.syscall, point.n, error, _command(rig, verb, container_id)))
        return outcome, True

    return _trial(rig, verb, Report({**point.json(), "victim": error}), blow)


def _trial(rig: Rig, verb: Verb, report: Report, blow: Callable[[str], tuple[Outcome, bool]]) -> Report:
    started = time.monotonic()
    container_id = rig.next_id()
    # Written before the baseline is read: config.json is ours, the rest of the bundle is compared.
    rig.write_config(container_id, verb.payload, verb.config)
    scope = rig.scope(container_id)
    before = residue.snapshot(scope)
    try:
        _prepare(rig, verb, container_id)
        outcome, report.struck = blow(container_id)
        deleted = rig.run(rig.verb("delete", "--force", container_id))
        left = residue.settle(scope, before, 1.0)
    finally:
        rig.clean(container_id, before)
    report.faults += ["hang"] if outcome.hung or deleted.hung else []
    report.faults += ["delete"] if deleted.code != 0 else []
    report.faults += ["traceback"] if "Traceback (most recent call last)" in outcome.text + deleted.text else []
    report.faults += ["residue"] if left else []
    report.kinds = list(left.kinds())
    if report.faults:
        report.residue = str(left)
        report.text = f"{verb.name}: {outcome.code} {outcome.text[-1500:]}\n"
        report.text += f"delete --force: {deleted.code} {deleted.text[-1500:]}"
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _prepare(rig: Rig, verb: Verb, container_id: str) -> None:
    rig.descriptors, rig.notify, rig.as_user = verb.descriptors, verb.notify, verb.user
    rig.has_plugin, rig.as_units = verb.plugin, verb.systemd
    rig.write_config(container_id, verb.payload, verb.config)
    for step in verb.before:
        if step == "wait":
            _wait_for_end(rig, container_id)
            continue
        words = ("create", "--bundle", "BUNDLE", "ID") if step == "create" else (step, "ID")
        outcome = rig.run(_words(rig, verb, container_id, words))
        if outcome.code != 0:
            raise RuntimeError(f"{step} failed before the trial: {outcome.text}")


def _command(rig: Rig, verb: Verb, container_id: str) -> list[str]:
    return _words(rig, verb, container_id, verb.words)


def _words(rig: Rig, verb: Verb, container_id: str, words: tuple[str, ...]) -> list[str]:
    options = verb.create if words[0] in ("create", "run") else ()
    return rig.verb(words[0], *(rig.meaning(container_id, word) for word in (*options, *words[1:])))


def _delete(rig: Rig, container_id: str) -> None:
    outcome = rig.run(rig.verb("delete", "--force", container_id))
    if outcome.code != 0:
        raise RuntimeError(f"delete --force fails: {outcome.text}")
    end = time.monotonic() + 5.0
    while (
        any(p.name in ("strace", "tracer") and p.parent == os.getpid() for p in residue.processes())
        and time.monotonic() < end
    ):
        rig.reap()
        time.sleep(0.01)


def _init_pid(rig: Rig, container_id: str) -> int:
    state = rig.run(rig.verb("state", container_id))
    return int(json.loads(state.text)["pid"])


def _wait_for_end(rig: Rig, container_id: str) -> None:
    pid = _init_pid(rig, container_id)
    end = time.monotonic() + 10.0
    while pid and _alive(pid):
        rig.reap()
        if time.monotonic() > end:
            raise RuntimeError(f"{container_id} does not end by itself")
        time.sleep(0.005)


def _alive(pid: int) -> bool:
    return any(process.pid == pid and process.state not in "ZX" for process in residue.processes())


def _attach(rig: Rig, container_id: str, options: list[str]) -> subprocess.Popen[bytes]:
    """strace on the waiting init of a container; returns once it has hold of it."""
    pid = _init_pid(rig, container_id)
    tracer = rig.launch(["strace", "-f", "-qq", *options, "-p", str(pid)], subprocess.DEVNULL)
    end = time.monotonic() + 5.0
    while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
        if time.monotonic() > end:
            raise RuntimeError("strace did not attach")
        time.sleep(0.002)
    return tracer


def _let_go(rig: Rig, tracer: subprocess.Popen[bytes]) -> None:
    """End an attached strace once the init has got to the user's program or to its death."""
    end = time.monotonic() + 0.2
    while time.monotonic() < end and not rig.has_ended(tracer.pid):
        rig.reap()
        time.sleep(0.01)
    if not rig.has_ended(tracer.pid):
        tracer.terminate()
        rig.await_end(tracer.pid, time.monotonic() + 5.0)
    tracer.returncode = rig.code_of(tracer.pid)
