"""InitializeIO: three pipes as standard streams, owned by the container's root, and a clean end of all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.errors import CorelaunchError, DeadlineExceeded, KernelError
from corelaunch.process_io import ProcessIO, initialize_io, root_ids
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]


def user_namespace(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]


def test_initialize_io(runtime: Runtime, bundle: Bundle) -> None:
    """The seed's row: what goes in comes out, the status comes back, and no descriptor is left."""
    before = len(os.listdir("/proc/self/fd"))
    with initialize_io() as pipes:
        container = runtime.create("io", str(bundle("sh", "-c", "tr a-z A-Z; echo err >&2; exit 4")), io=pipes.io)
        container.start()
        assert pipes.communicate(b"some words\n", timeout=20) == (b"SOME WORDS\n", b"err\n")
        assert container.wait(10) == 4
    container.delete()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_pipes_belong_to_the_containers_root(runtime: Runtime, bundle: Bundle, rootfs: Path) -> None:
    rootfs.chmod(0o755)
    script = "echo one > /proc/self/fd/1; echo two > /proc/self/fd/2; cat /proc/self/fd/0"
    path = str(bundle("sh", "-c", script, change=user_namespace))
    assert root_ids(path) == (100000, 200000)
    with initialize_io(*root_ids(path)) as pipes:
        for fd in (pipes.io.stdin, pipes.io.stdout, pipes.io.stderr, pipes.stdin, pipes.stdout, pipes.stderr):
            assert (os.fstat(fd).st_uid, os.fstat(fd).st_gid) == (100000, 200000)
        container = runtime.create("io", path, io=pipes.io)
        container.start()
        assert pipes.communicate(b"three", timeout=20) == (b"one\nthree", b"two\n")
        assert container.wait(10) == 0


def test_a_bundle_without_mappings_has_the_hosts_root(bundle: Bundle) -> None:
    assert root_ids(str(bundle("true"))) == (0, 0)


def test_much_in_both_directions_at_once_does_not_stand_still(runtime: Runtime, bundle: Bundle) -> None:
    data = os.urandom(3 << 20)
    with initialize_io() as pipes:
        container = runtime.create("io", str(bundle("sh", "-c", "tee /dev/fd/2")), io=pipes.io)
        container.start()
        assert pipes.communicate(data, timeout=60) == (data, data)
        assert container.wait(10) == 0


def test_a_process_that_does_not_read_ends_all_the_same(runtime: Runtime, bundle: Bundle) -> None:
    with initialize_io() as pipes:
        container = runtime.create("io", str(bundle("true")), io=pipes.io)
        container.start()
        assert pipes.communicate(b"x" * (1 << 20), timeout=20) == (b"", b"")
        assert container.wait(10) == 0


def test_pipes_serve_an_exec_too_and_several_threads(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("io", str(bundle("sleep", "100")))
    container.start()
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        process = {"args": ["sh", "-c", f"cat; echo {number}"], "cwd": "/", "env": ["PATH=/bin"]}
        with initialize_io() as pipes:
            running = container.exec(process, io=pipes.io)
            results[number] = pipes.communicate(b"in ", timeout=30)[0]
            assert running.wait(10) == 0
            running.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"in {number}\n".encode() for number in range(6)}


def test_time_and_size_have_limits(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("io", str(bundle("sleep", "100")))
    container.start()
    for script, error, phrase, options in (
        ("sleep 100", DeadlineExceeded, "still open: after 0.2 s", {"timeout": 0.2}),
        ("while :; do echo yyyyyyyy; done", CorelaunchError, "too much output on stdout", {"limit": 1000}),
    ):
        with initialize_io() as pipes:
            process = container.exec({"args": ["sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"]}, io=pipes.io)
            with pytest.raises(error, match=phrase):
                pipes.communicate(**options)  # type: ignore[arg-type]
            process.signal(9)
            assert process.wait(10) == 137
            process.close()


def test_a_failed_initialisation_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd")

    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(KernelError, match="cannot make the pipes of a process: operation not permitted"):
        initialize_io(1, 1)
    assert os.listdir("/proc/self/fd") == before


def test_external_descriptors_are_in_the_state_for_everybody(runtime: Runtime, bundle: Bundle) -> None:
    with initialize_io() as pipes:
        targets = tuple(os.readlink(f"/proc/self/fd/{fd}") for fd in (pipes.io.stdin, pipes.io.stdout, pipes.io.stderr))
        container = runtime.create("io", str(bundle("sleep", "100")), io=pipes.io)
        elsewhere = runtime.load("io")
        assert container.external_descriptors == elsewhere.external_descriptors == targets
        assert container.process.external_descriptors == elsewhere.process.external_descriptors == targets
        elsewhere.close()


# -- descriptors beyond the standard streams, in the API -------------------------------------------------------


def test_preserved_descriptors_are_those_that_were_named_and_land_at_three(runtime: Runtime, bundle: Bundle) -> None:
    """Neither the numbers that they have here count, nor what else is open here."""
    read, write = os.pipe2(os.O_CLOEXEC)
    stray = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(stray, True)
    high = os.dup2(write, 400, inheritable=False)
    pipe = os.readlink(f"/proc/self/fd/{write}")
    script = "for f in /proc/$$/fd/*; do t=$(readlink $f) && echo ${f##*/} $t; done >&3; echo four >&4"
    with initialize_io() as pipes:
        io = pipes.io.replace(preserved=(high, write))
        container = runtime.create("io", str(bundle("sh", "-c", script)), io=io)
        os.close(write)
        os.close(high)
        container.start()
        assert pipes.communicate(timeout=20) == (b"", b"")
        assert container.wait(10) == 0
    lines = os.read(read, 65536).decode().splitlines()
    os.close(read)
    os.close(stray)
    assert lines[-1] == "four"
    assert f"3 {pipe}" in lines
    assert f"4 {pipe}" in lines
    assert not any("/dev/zero" in line for line in lines)


def test_a_descriptor_that_is_not_open_is_named_before_anything_is_made(runtime: Runtime, bundle: Bundle) -> None:
    with pytest.raises(KernelError, match="cannot hand over descriptor 777: as descriptor 4 of the process: bad file"):
        runtime.create("io", str(bundle("true")), io=ProcessIO(preserved=(0, 777)))
    assert runtime.root.ids() == []


def test_sockets_to_listen_on_are_counted_among_the_preserved(runtime: Runtime, bundle: Bundle) -> None:
    with pytest.raises(CorelaunchError, match="not as many descriptors to listen on"):
        runtime.create("io", str(bundle("true")), io=ProcessIO(preserved=(0,), listening=2))
    with initialize_io() as pipes:
        io = pipes.io.replace(preserved=(0, 0), listening=1)
        container = runtime.create("io", str(bundle("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID")), io=io)
        container.start()
        assert pipes.communicate(timeout=20)[0] == b"1 1\n"
    container = runtime.create("other", str(bundle("sleep", "100")))
    with pytest.raises(CorelaunchError, match="sockets to listen on are for the init alone"):
        container.exec({"args": ["true"]}, io=ProcessIO(preserved=(0,), listening=1))


def test_the_session_of_the_caller_stays_as_it_is(runtime: Runtime, bundle: Bundle) -> None:
    """No descriptor of a library's process changes its number, target or close-on-exec flag."""
    read, write = os.pipe2(os.O_CLOEXEC)
    before = {fd: (os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(int(fd))) for fd in _numbers()}
    container = runtime.create("io", str(bundle("true")), io=ProcessIO(preserved=(read, write)))
    container.start()
    container.wait(10)
    container.delete()
    assert {fd: (os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(int(fd))) for fd in _numbers()} == before
    os.close(read)
    os.close(write)


def _numbers() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
