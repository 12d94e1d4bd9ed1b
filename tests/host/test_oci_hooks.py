"""OCI hooks: their moment, their input, their deadline, their output, and nothing of them left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch import oci_hooks
from corelaunch.errors import HookError
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def with_hooks(**hooks: list[dict[str, Any]]) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        config["hooks"] = hooks

    return change


def test_each_hook_gets_the_state_of_its_moment(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    moments = ("prestart", "createRuntime", "poststart", "poststop")
    hooks = {moment: [shell(f"cat > {tmp_path}/{moment}")] for moment in moments}
    path = bundle("sleep", "60", change=with_hooks(**hooks))
    container = runtime.create("t1", str(path))
    pid = container.pid
    assert not (tmp_path / "poststart").exists()
    container.start()
    container.delete(force=True)
    states = {moment: json.loads((tmp_path / moment).read_text()) for moment in moments}
    assert [states[m]["status"] for m in moments] == ["creating", "creating", "running", "stopped"]
    assert [states[m].get("pid", 0) for m in moments] == [pid, pid, pid, 0]
    assert {s["bundle"] for s in states.values()} == {str(path)}


def test_the_environment_of_a_hook_is_what_the_config_says_and_no_more(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD_LIKE", "secret")
    hook = {"path": "/usr/bin/env", "env": ["A=1"]}
    log = shell(f"/usr/bin/env > {tmp_path}/env; pwd > {tmp_path}/cwd", env=["A=1"])
    path = bundle("true", change=with_hooks(createRuntime=[hook, log]))
    runtime.run("t1", str(path))
    assert "LD_PRELOAD_LIKE" not in (tmp_path / "env").read_text()
    assert "A=1" in (tmp_path / "env").read_text()
    assert (tmp_path / "cwd").read_text().strip() == str(path)


def test_a_failing_hook_fails_create_with_its_output_and_place(runtime: Runtime, bundle: Bundle) -> None:
    hooks = with_hooks(createRuntime=[shell("true"), shell("echo the reason >&2; exit 4")])
    with pytest.raises(HookError) as caught:
        runtime.create("t1", str(bundle("true", change=hooks)))
    assert "hooks.createRuntime[1]" in str(caught.value)
    assert "exit status 4, output: the reason" in str(caught.value)
    assert runtime.root.ids() == []


def test_a_hook_that_cannot_be_executed_says_why(runtime: Runtime, bundle: Bundle) -> None:
    with pytest.raises(HookError, match="no such file or directory"):
        runtime.create("t1", str(bundle("true", change=with_hooks(prestart=[{"path": "/no/such/hook"}]))))


def test_a_hanging_hook_ends_at_its_deadline_with_all_its_descendants(runtime: Runtime, bundle: Bundle) -> None:
    hooks = with_hooks(createRuntime=[shell("sleep 7654 & sleep 7654", timeout=1)])
    with pytest.raises(HookError, match=r"timed out: hooks.createRuntime\[0\]: after 1 s"):
        runtime.create("t1", str(bundle("true", change=hooks)))
    assert not [p for p in procfs.pids() if "7654" in _command(p)]


def test_a_grandchild_that_keeps_the_output_open_does_not_hold_the_launch_up(runtime: Runtime, bundle: Bundle) -> None:
    hooks = with_hooks(createRuntime=[shell("sleep 20 & exit 0", timeout=15)])
    runtime.run("t1", str(bundle("true", change=hooks)))  # waiting for the pipe would end at the hook's deadline


def test_a_hook_that_never_stops_printing_ends_at_its_deadline(runtime: Runtime, bundle: Bundle) -> None:
    hooks = with_hooks(createRuntime=[shell("exec cat /dev/zero", timeout=1)])
    with pytest.raises(HookError, match=r"timed out: hooks.createRuntime\[0\]: after 1 s"):
        runtime.create("t1", str(bundle("true", change=hooks)))


def test_a_descendant_that_never_stops_printing_does_not_hold_the_launch_up(runtime: Runtime, bundle: Bundle) -> None:
    script = "timeout 20 cat /dev/zero & sleep 0.2; exit 3"
    with pytest.raises(HookError, match="exit status 3"):
        runtime.create("t1", str(bundle("true", change=with_hooks(createRuntime=[shell(script, timeout=15)]))))


def test_a_hook_that_cannot_be_started_leaves_no_descriptor(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(11, "no more processes")

    monkeypatch.setattr("corelaunch.kernel.native.spawn", refuse)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(HookError, match=r"cannot start hook /bin/true: hooks.prestart"):
        oci_hooks.run("prestart", [{"path": "/bin/true"}], {}, str(tmp_path), lambda _: None)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_hook_may_print_more_than_we_keep(runtime: Runtime, bundle: Bundle) -> None:
    hooks = with_hooks(createRuntime=[shell("head -c 3000000 /dev/zero | tr '\\0' x")])
    assert runtime.run("t1", str(bundle("true", change=hooks))) == 0


def test_a_failing_poststart_hook_stops_the_container(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60", change=with_hooks(poststart=[shell("exit 1")]))))
    with pytest.raises(HookError):
        container.start()
    assert container.wait(10) == 137


def test_a_failing_poststop_hook_is_a_warning_and_the_next_one_runs(tmp_path: Path, bundle: Bundle) -> None:
    log: list[str] = []
    runtime = Runtime(str(tmp_path / "state"), log=lambda level, text: log.append(f"{level} {text}"))
    hooks = with_hooks(poststop=[shell("exit 9"), shell(f"touch {tmp_path}/second")])
    runtime.run("t1", str(bundle("true", change=hooks)))
    assert (tmp_path / "second").exists()
    assert any("hooks.poststop[0]" in line and line.startswith("warning") for line in log)


def test_the_longest_timeout_that_the_specification_knows_is_a_timeout(runtime: Runtime, bundle: Bundle) -> None:
    hooks = with_hooks(createRuntime=[shell("sleep 0.1", timeout=2**63 - 1)])
    assert runtime.run("t1", str(bundle("true", change=hooks))) == 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
