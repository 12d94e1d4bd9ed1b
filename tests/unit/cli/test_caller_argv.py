"""The command lines of every known caller, word for word: each parses, and asks the runtime for what the caller means.

Callers: conmon (podman), podman itself, conmon-rs and CRI-O, the containerd shim (go-runc), dockerd, buildkit, buildah.
Some shapes are odd on purpose of nobody: options given twice, one dash before a long name, resources on stdin.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.cli.main import main

from .fake_runtime import FakeRuntime

CID = "0123456789abcdef" * 4

#: Caller -> its command lines, and the operation each must come to ("": it asks nothing of a container).
SHAPES: list[tuple[str, str, str]] = [
    # conmon
    ("conmon", "create --bundle B --pid-file P CID", "create"),
    ("conmon", "--systemd-cgroup create --bundle B --pid-file P --no-pivot --no-new-keyring CID", "create"),
    ("conmon", "--log-format=json --log LOG create --bundle B --pid-file P --preserve-fds 0 CID", "create"),
    ("conmon", "--log-format=json --log LOG create --bundle B --pid-file P --console-socket S CID", "create"),
    ("conmon", "exec --pid-file P --process SPEC --detach CID", "exec"),
    ("conmon", "--log-format=json --log LOG exec --pid-file P --process SPEC --detach CID", "exec"),
    ("conmon", "exec --pid-file P --process TTYSPEC --detach --tty --console-socket S CID", "exec"),
    # podman itself
    ("podman", "start CID", "start"),
    ("podman", "kill CID 15", "signal"),
    ("podman", "kill --all CID 9", "signal"),
    ("podman", "delete --force CID", "delete"),
    ("podman", "pause CID", "pause"),
    ("podman", "resume CID", "resume"),
    ("podman", "update --resources=RESOURCES CID", "update"),
    ("podman", "--version", ""),
    # CRI-O and conmon-rs
    ("CRI-O", "--root R --systemd-cgroup start CID", "start"),
    ("CRI-O", "--root R state CID", "state"),
    ("CRI-O", "--root R pause CID", "pause"),
    ("CRI-O", "--root R resume CID", "resume"),
    ("CRI-O", "--root R kill CID SIGTERM", "signal"),
    ("CRI-O", "--root R kill CID KILL", "signal"),
    ("CRI-O", "--root R delete --force CID", "delete"),
    ("CRI-O", "--root R update --resources - CID", "update"),
    ("CRI-O", "--root R exec --process SPEC CID", "exec"),
    ("CRI-O", "--root R exec --pid-file P --process SPEC --detach CID", "exec"),
    ("CRI-O", "features", ""),
    ("CRI-O", "--version", ""),
    ("conmon-rs", "--root=R --systemd-cgroup --root=R --systemd-cgroup create --bundle B --pid-file P CID", "create"),
    ("conmon-rs", "--root=R --root=R create --bundle B --pid-file P --console-socket=S CID", "create"),
    ("conmon-rs", "--root=R exec -d --pid-file=P CID sh -c exit", "exec"),
    ("conmon-rs", "--root=R exec -d --console-socket=S --tty --pid-file=P CID sh --help", "exec"),
    # the containerd shim; dockerd uses it too
    *(
        ("shim", f"--root R --log LOG --log-format json {line}", operation)
        for line, operation in (
            ("create --bundle B --pid-file B/init.pid CID", "create"),
            ("create --bundle B --pid-file B/init.pid --console-socket S --no-pivot --no-new-keyring CID", "create"),
            ("start CID", "start"),
            ("exec --process SPEC --detach --pid-file P CID", "exec"),
            ("exec --process TTYSPEC --console-socket S --detach --pid-file P CID", "exec"),
            ("kill CID 9", "signal"),
            ("kill --all CID 9", "signal"),
            ("delete CID", "delete"),
            ("delete --force CID", "delete"),
            ("state CID", "state"),
            ("ps --format json CID", "processes"),
            ("events --stats CID", "stats"),
            ("events --interval=5s CID", "watch"),
            ("events --interval=1m30s CID", "watch"),
            ("update --resources=- CID", "update"),
            ("update --resources - CID", "update"),
            ("pause CID", "pause"),
            ("resume CID", "resume"),
            ("list --format=json", ""),
            ("features", ""),
        )
    ),
    ("shim", "--root R --debug --log LOG --log-format json --systemd-cgroup --rootless=false start CID", "start"),
    ("go-runc", "run --bundle B --pid-file P --detach -no-subreaper CID", "create"),
    ("dockerd", "--version", ""),
    ("buildkit", "--log LOG --log-format json run --bundle B --keep CID", "run"),
    ("buildkit", "--log LOG --log-format json run --bundle B --no-pivot --keep CID", "run"),
    ("buildkit", "--log LOG --log-format json run --bundle B CID", "run"),
    ("buildkit", "--log LOG --log-format json delete CID", "delete"),
    ("buildah", "--debug create --bundle B --pid-file P --no-pivot --console-socket S CID", "create"),
    ("buildah", "state CID", "state"),
]

#: What is refused, clearly: nobody may take it for done, and podman's question for support must be answered "no".
CHECKPOINTS = [
    "checkpoint --help",
    "checkpoint --image-path D --work-path D --leave-running --leave-running CID",
    "--root R --log LOG --log-format json checkpoint --image-path D --work-path D --file-locks --status-fd 3 CID",
    "--root R checkpoint --file-locks --image-path D --work-path D --leave-running CID",
    "restore --bundle B --pid-file P --detach --image-path D --work-path B CID",
    "--log-format=json --log LOG restore --bundle B --pid-file P --detach --image-path D --work-path D CID",
    "--root R restore --image-path D --work-path D --detach --pid-file P -no-subreaper --bundle B CID",
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What stands for the words in capitals."""
    process: dict[str, Any] = {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "config.json").write_text(json.dumps({"process": process}))
    (tmp_path / "process").write_text(json.dumps(process))
    (tmp_path / "tty-process").write_text(json.dumps({**process, "terminal": True}))
    (tmp_path / "resources").write_text('{"pids": {"limit": 9}}')
    (tmp_path / "root").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as console:
        console.bind(str(tmp_path / "console"))
        yield {
            "B": str(tmp_path / "bundle"),
            "P": str(tmp_path / "pid"),
            "S": str(tmp_path / "console"),
            "D": str(tmp_path / "image"),
            "R": str(tmp_path / "root"),
            "LOG": str(tmp_path / "log"),
            "SPEC": str(tmp_path / "process"),
            "TTYSPEC": str(tmp_path / "tty-process"),
            "RESOURCES": str(tmp_path / "resources"),
            "CID": CID,
        }


def words_of(line: str, place: dict[str, str]) -> list[str]:
    """The words of a shape, with what stands alone or behind "=" filled in."""
    found = []
    for word in shlex.split(line):
        option, equals, value = word.rpartition("=")
        head, slash, rest = value.partition("/")
        found.append(f"{option}{equals}{place.get(head, head)}{slash}{rest}")
    return found


def play(line: str, place: dict[str, str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str, FakeRuntime]:
    runtime = FakeRuntime(CID)
    runtime.bundle = place["B"]
    kept = os.dup(0)
    with open(place["RESOURCES"], "rb") as stdin:
        os.dup2(stdin.fileno(), 0)
        try:
            code = main(words_of(line, place), make_runtime=runtime)  # type: ignore[arg-type]
        finally:
            os.dup2(kept, 0)
            os.close(kept)
    out, err = capfd.readouterr()
    return code, out, err, runtime


@pytest.mark.parametrize(("caller", "line", "operation"), SHAPES)
def test_every_callers_command_line_is_understood(
    place: dict[str, str], capfd: pytest.CaptureFixture[str], caller: str, line: str, operation: str
) -> None:
    code, out, err, runtime = play(line, place, capfd)
    assert (code, err) == (0, ""), caller
    done = [call[0] for call in runtime.calls]
    expected = {"state": [], "": []}.get(operation, [operation])
    assert done[: len(expected)] == expected
    if " CID" in line and operation not in ("state",):
        assert runtime.calls[0][1] == CID
    if operation == "update":
        assert runtime.calls[0][2] == {"pids": {"limit": 9}}
    if operation in ("create", "run"):
        assert runtime.calls[0][2] == place["B"]
    if operation == "processes":
        assert json.loads(out) == [42, 43]
    if operation == "state":
        assert json.loads(out)["id"] == CID
    if operation in ("stats", "watch"):
        types = [json.loads(event)["type"] for event in out.splitlines()]
        assert types == (["stats", "oom"] if operation == "watch" else ["stats"])
    if operation not in ("", "state", "processes", "stats", "watch"):
        assert out == "", "silent on success: stdout and stderr are often one pipe"
    if "--log LOG" in line:
        assert Path(place["LOG"]).read_text() == ""


def test_a_root_that_is_given_twice_is_the_last_one(place: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    line = "--root=/elsewhere --systemd-cgroup --root=R --systemd-cgroup create --bundle B --pid-file P CID"
    _, _, _, runtime = play(line, place, capfd)
    assert runtime.made_with["root"] == place["R"]
    assert runtime.made_with["cgroup_manager"] == "systemd"


@pytest.mark.parametrize("line", CHECKPOINTS)
def test_checkpoint_and_restore_say_that_they_are_not_supported(
    place: dict[str, str], capfd: pytest.CaptureFixture[str], line: str
) -> None:
    code, out, err, runtime = play(line, place, capfd)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "is not supported" in err
    assert runtime.calls == []
    if "--log LOG" in line or "--log-format=json --log LOG" in line:
        assert len(Path(place["LOG"]).read_text().splitlines()) == 1


def test_features_say_so_too_and_nothing_else_is_printed(
    place: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err, _ = play("features", place, capfd)
    assert (code, err) == (0, "")
    assert json.loads(out)["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "false"
