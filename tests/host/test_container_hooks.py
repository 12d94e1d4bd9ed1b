"""OCI hooks that run inside the container: createContainer and startContainer, on a real kernel."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import HookError
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
Change = Callable[[dict[str, Any]], object]
CREATE, START = "createContainer", "startContainer"


def io_to(fd: int) -> ProcessIO:
    return ProcessIO(stdin=os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), stdout=fd, stderr=fd)


def hooks(moment: str, *scripts: str, then: Change | None = None, **more: Any) -> Change:
    """A change of the config: these shell scripts are its hooks of one moment."""

    def change(config: dict[str, Any]) -> None:
        entries = [{"path": "/bin/sh", "args": ["sh", "-c", script], **more} for script in scripts]
        config.setdefault("hooks", {})[moment] = entries
        if then is not None:
            then(config)

    return change


def children(pid: int) -> list[int]:
    return [one for one in procfs.pids() if procfs.parent_pid(one) == pid]


def test_create_container_hooks_see_the_runtimes_paths_and_the_containers_mounts(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    """Path and arguments are those of the runtime, mounts and working directory the container's."""
    script = f"""{{ cat; echo; pwd; readlink /proc/self/ns/mnt; grep -c ' proc ' /proc/self/mountinfo; umask;
env | grep -v ^PWD= | sort; ls /proc/self/fd | tr '\\n' ' '; }} > {tmp_path}/said"""
    change = hooks(CREATE, script, env=["A=b"], then=lambda config: config.update(annotations={"k": 'v"1'}))
    path = bundle("sleep", "60", change=change)
    container = runtime.create("cl-hook-1", str(path))
    lines = (tmp_path / "said").read_text().splitlines()
    state = json.loads(lines[0])
    assert state == {
        "ociVersion": json.loads((path / "config.json").read_text())["ociVersion"],
        "id": "cl-hook-1",
        "status": "creating",
        "pid": 1,
        "bundle": str(path),
        "annotations": {"k": 'v"1'},
    }
    assert lines[1] == container.state()["rootfs"]
    assert lines[2] == os.readlink(f"/proc/{container.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    assert int(lines[3]) > 0
    assert lines[4] == "0022"
    # 3 is the directory that ls reads.
    assert lines[5:] == ["A=b", "0 1 2 3 "]


def test_start_container_hooks_run_in_the_container_between_start_and_its_program(
    runtime: Runtime, bundle: Bundle, rootfs: Path, output: Any
) -> None:
    def change(config: dict[str, Any]) -> None:
        hooks(START, "cat > /tmp/state; echo $A > /tmp/env; ls /proc/self/fd > /tmp/fds", "echo 2 >> /tmp/env")(config)
        config["hooks"][START][0]["env"] = ["A=b", "PATH=/bin"]
        config["hooks"][START][1]["env"] = ["PATH=/bin"]
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})

    path = bundle("cat", "/tmp/state", "/tmp/env", "/tmp/fds", change=change)
    container = runtime.create("cl-hook-1", str(path), io=io_to(output.fd))
    assert children(container.pid) == []
    container.start()
    assert container.wait(20) == 0
    state, *rest = output.text().replace("}", "}\n").splitlines()
    assert json.loads(state)["status"] == "created"
    assert json.loads(state)["pid"] == 1
    assert rest == ["b", "2", "0", "1", "2", "3"]


@pytest.mark.parametrize("preserved", [0, 2])
def test_preserved_descriptors_are_not_the_hooks(
    runtime: Runtime, bundle: Bundle, output: Any, preserved: int, tmp_path: Path
) -> None:
    files = tuple(os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(preserved))
    change = hooks(CREATE, f"ls /proc/self/fd | tr '\\n' ' ' > {tmp_path}/said")
    io = ProcessIO(*[os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)] * 3, preserved=files)
    runtime.create("cl-hook-1", str(bundle("true", change=change)), io=io).delete(force=True)
    assert (tmp_path / "said").read_text() == "0 1 2 3 "
    for fd in files:
        os.close(fd)


@pytest.mark.parametrize("moment", [CREATE, START])
@pytest.mark.parametrize(
    ("script", "more", "why"),
    [
        ("echo out; echo err >&2; exit 7", {}, r"exit status 7, output: out\\nerr"),
        ("echo slow; sleep 4321", {"timeout": 1}, "timed out, seconds: 1, output: slow"),
        ("kill -9 $$", {}, "killed by signal 9"),
        ("exit 0", {"path": "/nonexistent/hook"}, "cannot be executed: no such file or directory"),
        ("printf 'a\\033[1mb\\0c'; exit 1", {}, r"exit status 1, output: a\\x1b\[1mb c"),
        ("yes | head -c 3000000; exit 1", {}, "exit status 1, output: y"),
    ],
    ids=["status", "time-out", "signal", "missing", "escapes", "flood"],
)
def test_a_failing_hook_fails_its_step_and_is_told_in_full(
    runtime: Runtime, bundle: Bundle, moment: str, script: str, more: dict[str, Any], why: str
) -> None:
    before = set(procfs.pids())
    change = hooks(moment, "true", "sleep 4321 & " + script, env=["PATH=/bin"], **more)
    if "path" in more:
        why = why.replace("[1]", "[0]")
    path = str(bundle("sleep", "60", change=change))
    index = 0 if "path" in more else 1
    said = rf"hook {more.get('path', '/bin/sh')} failed: hooks\.{moment}\[{index}\]: {why}"
    if moment == CREATE:
        with pytest.raises(HookError, match=said):
            runtime.create("cl-hook-1", path)
        assert runtime.root.ids() == []
    else:
        container = runtime.create("cl-hook-1", path)
        with pytest.raises(HookError, match=said):
            container.start()
        assert container.wait(20) == 1
        assert container.status == "stopped"
        container.delete()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [pid for pid in set(procfs.pids()) - before if "4321" in command(pid)]
        if not left:
            break
        time.sleep(0.05)
    assert not left


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_hook_of_a_shared_pid_namespace_gets_the_real_pid_and_dies_with_the_init(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        hooks(CREATE, f"cat > {tmp_path}/said")(config)
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]

    container = runtime.create("cl-hook-1", str(bundle("true", change=change)))
    assert json.loads((tmp_path / "said").read_text())["pid"] == container.pid


def test_hooks_run_as_the_process_of_the_container_is(
    runtime: Runtime, bundle: Bundle, output: Any, rootfs: Path
) -> None:
    """As under runc: a startContainer hook comes after the change of user and the seccomp filter."""
    rootfs.chmod(0o755)

    def change(config: dict[str, Any]) -> None:
        hooks(START, "id -u > /tmp/said; grep -E '^(Seccomp|CapEff):' /proc/self/status >> /tmp/said")(config)
        config["hooks"][START][0]["env"] = ["PATH=/bin"]
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        config["process"]["capabilities"] = {}
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]})
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
        }

    assert runtime.run("cl-hook-1", str(bundle("cat", "/tmp/said", change=change)), io=io_to(output.fd)) == 0
    assert output.text().split() == ["1000", "CapEff:", "0" * 16, "Seccomp:", "2"]


def test_create_container_hooks_come_after_create_runtime_hooks(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    said = tmp_path / "said"

    def change(config: dict[str, Any]) -> None:
        for moment in (START, CREATE, "createRuntime", "prestart"):
            hooks(moment, f"echo {moment} >> {said}")(config)
        config["mounts"].append({"destination": str(tmp_path), "source": str(tmp_path), "options": ["bind"]})

    assert runtime.run("cl-hook-1", str(bundle("true", change=change))) == 0
    assert said.read_text().split() == ["prestart", "createRuntime", CREATE, START]


@pytest.mark.parametrize("moment", [CREATE, START])
def test_the_longest_timeout_that_the_specification_knows_is_a_timeout(
    runtime: Runtime, bundle: Bundle, moment: str
) -> None:
    change = hooks(moment, "sleep 0.1", timeout=2**63 - 1)
    assert runtime.run("cl-hook-1", str(bundle("true", change=change))) == 0
