"""CNI plugins that misbehave: each ends in one clear line in time, and none is left running."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from corelaunch_netstrategies.cni import Cni

from corelaunch.api import ConfigError, CorelaunchError, DeadlineExceeded, NetworkRequest, PluginError
from corelaunch.testing.network_host import Container, EffectRecorder, private_network

sys.path.insert(0, os.path.dirname(__file__))
from cni_host import write_list, write_plugin

pytestmark = pytest.mark.needs_root

Attempt = Callable[..., CorelaunchError]


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    """Creates with a plugin that does what a script says at ADD; the error, after a ``destroy`` that must do."""

    def create(script: str, *, kind: type[CorelaunchError] = PluginError, seconds: float = 20.0) -> CorelaunchError:
        write_plugin(tmp_path / "bin", "wrong", f'[ "$CNI_COMMAND" = DEL ] && exit 0\n{script}')
        conf = write_list(tmp_path, {"type": "wrong"})
        placement = Cni().place(NetworkRequest("clnet", 0, "cni", {"conf": str(conf), "path": f"{tmp_path}/bin"}))
        recorder = EffectRecorder()
        recorder.deadline = time.monotonic() + seconds
        with Container() as container:
            with pytest.raises(kind) as caught:
                Cni().create(placement, container.process, recorder)
            Cni().destroy(placement, recorder.effects)
        assert "\n" not in caught.value.line()
        return caught.value

    yield create
    assert processes_of(tmp_path) == []


def processes_of(directory: Path) -> list[str]:
    """Command lines of living processes that run something of a directory."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in command:
            found.append(command)
    return found


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("cat >/dev/null; exit 0", "CNI plugin wrong failed: ADD: it printed no result"),
        ("exit 5", "ADD: exit status 5"),
        ("echo hello; exit 0", "ADD: it printed what is no JSON"),
        ("echo hello; exit 1", "ADD: exit status 1"),
        ("echo '[1]'", "ADD: it printed what is no JSON object"),
        ("""echo '{"code": 11, "msg": "later", "details": "not yet"}'; exit 0""", r"ADD: later: not yet \(code 11\)"),
        ("""printf '%s' '{"code": 2, "msg": "two\\nlines"}'; exit 1""", r"ADD: two\\nlines \(code 2\)"),
        ("printf 'one\\n\\033[31mtwo\\n' >&2; exit 1", r"ADD: exit status 1, and said: one \\x1b\[31mtwo"),
        ("head -c 200000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1", "xxxthe end"),
        ("kill -SEGV $$", "ADD: signal 11"),
        ("head -c 100000000 /dev/zero", "wrong failed: it wrote more than 1 MiB to standard output"),
        ("yes", "it wrote more than 1 MiB"),
        ("exec <&-; exec 1>&-; exit 0", "it printed no result"),
    ],
)
def test_what_is_no_result_is_one_line_with_the_plugin_and_what_it_said(
    attempt: Attempt, script: str, says: str
) -> None:
    error = attempt(script)
    assert re.search(says, error.line()), error.line()
    assert len(error.line()) < 3000


@pytest.mark.parametrize("script", ["sleep 1000", "sleep 1000 & sleep 1000", "trap '' TERM; while :; do sleep 1; done"])
def test_a_plugin_that_hangs_is_killed_with_all_that_it_has_started(attempt: Attempt, script: str) -> None:
    started = time.monotonic()
    error = attempt(f"echo waiting >&2\n{script}", kind=DeadlineExceeded, seconds=1.5)
    assert "wrong did not end in time, and said: waiting" in error.line()
    assert time.monotonic() - started < 10


def test_a_child_that_keeps_the_pipes_open_holds_nobody_up(attempt: Attempt) -> None:
    error = attempt("sleep 1000 & echo '{\"code\": 1, \"msg\": \"no\"}'; exit 1")
    assert error.line().endswith("no (code 1)")


def test_a_plugin_has_a_clean_environment_and_no_descriptor_of_ours(tmp_path: Path, attempt: Attempt) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    seen = tmp_path / "seen"
    try:
        attempt(f"(env; ls -l /proc/$$/fd; grep SigIgn /proc/$$/status) >{seen}; cat >/dev/null")
        pipe = os.readlink(f"/proc/self/fd/{write}")
    finally:
        os.close(read)
        os.close(write)
    text = seen.read_text()
    names = {line.partition("=")[0] for line in text.splitlines() if "=" in line}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "CNI_ARGS",
        "CNI_COMMAND",
        "CNI_CONTAINERID",
        "CNI_IFNAME",
        "CNI_NETNS",
        "CNI_PATH",
        "PATH",
    }
    assert pipe not in text
    # 32 and 33 are the C library's own.
    assert int(text.rpartition("SigIgn:")[2], 16) & 0x7FFFFFFF == 0


def test_versions_that_it_does_not_tell_are_an_error(tmp_path: Path) -> None:
    write_plugin(tmp_path / "bin", "wrong", "echo '{}'", version="")
    conf = write_list(tmp_path, {"type": "wrong"})
    placement = Cni().place(NetworkRequest("clnet", 0, "cni", {"conf": str(conf), "path": f"{tmp_path}/bin"}))
    with Container() as container, pytest.raises(PluginError, match="VERSION: it names no supportedVersions"):
        Cni().create(placement, container.process, EffectRecorder())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.chmod(0o777), "not trusted: .*/bin/wrong: it belongs to, or can be written by, somebody"),
        (lambda path: path.parent.chmod(0o777), "not trusted: .*/bin: "),
        (lambda path: os.chown(path, 65534, 65534), "not trusted: .*/bin/wrong"),
        (lambda path: path.chmod(0o644), "not a program: .*/bin/wrong: it cannot be executed"),
        (lambda path: path.unlink(), "no program 'wrong': it is not in .*apt install containernetworking-plugins"),
    ],
    ids=["writable", "directory", "owner", "mode", "missing"],
)
def test_a_plugin_that_cannot_be_trusted_or_is_missing_is_not_run(
    tmp_path: Path, change: Callable[[Path], object], says: str
) -> None:
    change(write_plugin(tmp_path / "bin", "wrong", f"touch {tmp_path}/ran", version=""))
    conf = write_list(tmp_path, {"type": "wrong"})
    placement = Cni().place(NetworkRequest("clnet", 0, "cni", {"conf": str(conf), "path": f"{tmp_path}/bin"}))
    recorder = EffectRecorder()
    with Container() as container, pytest.raises(ConfigError, match=says):
        Cni().create(placement, container.process, recorder)
    assert recorder.effects == []
    assert not (tmp_path / "ran").exists()


def test_a_program_with_the_wrong_format_is_an_error(tmp_path: Path) -> None:
    path = write_plugin(tmp_path / "bin", "wrong", "", version="")
    path.write_bytes(b"\x7fELF nonsense")
    conf = write_list(tmp_path, {"type": "wrong"})
    placement = Cni().place(NetworkRequest("clnet", 0, "cni", {"conf": str(conf), "path": f"{tmp_path}/bin"}))
    with Container() as container, pytest.raises(CorelaunchError, match=r"cannot execute: .*/bin/wrong: exec format"):
        Cni().create(placement, container.process, EffectRecorder())
