"""`state`, `kill`, `start`, `delete` are answered by the front itself where it can (native/quick.h), as by Python.

``quick`` is a copy of the front that has no Python to fall back on, so it answers only what the front can answer
alone. ``--trace`` is an option that the front does not know, so with it Python answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli, Outcome, corelaunch_path, wait_until

from corelaunch.state.journal import decode

MARK = f"cl-q-{os.getpid()}"
SLEEP = ("sleep", "1000")
IN_PYTHON = ("--trace", "/dev/null")
ENGINE = ("--log-format", "json", "--systemd-cgroup")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not os.access(corelaunch_path(), os.X_OK), reason="needs the installed command"),
]


@pytest.fixture
def quick(cli: Cli, tmp_path: Path) -> Cli:
    """The front without a Python environment."""
    program = tmp_path / "lonely" / "bin" / "corelaunch"
    program.parent.mkdir(parents=True)
    shutil.copy(corelaunch_path(), program)
    return Cli(str(program), cli.root, MARK)


def left_to_python(outcome: Outcome) -> bool:
    """Whether the front without Python had to look for one."""
    return outcome.code == 1 and "cannot start: no package corelaunch" in outcome.err


def create(cli: Cli, bundle: str, *, start: bool = False) -> str:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundle, one)
    if start:
        cli.ok("start", one, options=IN_PYTHON)
    return one


def agreed(cli: Cli, quick: Cli, *words: str, **more: Any) -> Outcome:
    """What Python and the front answer; they must not differ in a byte."""
    for options in ((), ENGINE, ("-log", str(cli.root.parent / "log"), "--log-format=text")):
        alone = quick(*words, options=options, **more)
        assert alone == cli(*words, options=(*IN_PYTHON, *options), **more)
    return alone


def annotate(config: dict[str, Any]) -> None:
    config["annotations"] = {"org.example.a": 'quo"te \\ \n \u00fc \U0001f40b', "empty": ""}


# -- state ---------------------------------------------------------------------------------------------------


def test_state_is_the_same_at_each_station_of_a_life(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP))
    assert json.loads(agreed(cli, quick, "state", one).out)["status"] == "created"
    cli.ok("start", one)
    assert json.loads(agreed(cli, quick, "state", one).out)["status"] == "running"
    cli.ok("exec", one, "true")
    agreed(cli, quick, "state", one)
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    stopped = json.loads(agreed(cli, quick, "state", one).out)
    assert (stopped["status"], stopped["pid"]) == ("stopped", 0)


def test_annotations_and_paths_with_odd_letters_come_out_the_same(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP, change=annotate))
    state = json.loads(agreed(cli, quick, "state", one).out)
    assert state["annotations"]["org.example.a"] == 'quo"te \\ \n \u00fc \U0001f40b'


def test_a_frozen_container_is_left_to_python(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP), start=True)
    with frozen(cli, one):
        assert cli.state(one)["status"] == "paused"
        for words in (("state", one), ("kill", one, "TERM"), ("kill", one, "KILL")):
            assert left_to_python(quick(*words))
    agreed(cli, quick, "state", one)


def test_a_container_on_its_way_to_frozen_is_left_to_python(
    cli: Cli, quick: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    """A freezer of cgroup v1 that says FREEZING holds up a SIGKILL: it has to be thawed, and only Python does that."""
    one = create(cli, bundles(*SLEEP), start=True)
    journal = cli.root / one / "journal"
    before = journal.read_bytes()
    records, _, _ = decode(before)
    for record in records:
        if record["record"] == "place" and record["kind"] == "cgroup_manager":
            record["fields"]["paths"]["freezer"] = str(tmp_path)  # type: ignore[index]
    journal.write_bytes(b"".join(map(frame, records)))
    state = tmp_path / "freezer.state"
    state.write_text("FREEZING\n")
    assert left_to_python(quick("kill", one, "KILL"))
    state.write_text("THAWED\n")
    agreed(cli, quick, "state", one)
    assert quick("kill", one, "KILL").code == 0
    journal.write_bytes(before)


@contextlib.contextmanager
def frozen(cli: Cli, container_id: str) -> Iterator[None]:
    """Freeze a container by hand, wherever its cgroup is."""
    pid = cli.state(container_id)["pid"]
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if "freezer" in groups:
        file, on, off = Path(f"/sys/fs/cgroup/freezer{groups['freezer']}/freezer.state"), "FROZEN", "THAWED"
    else:
        file, on, off = Path(f"/sys/fs/cgroup{groups['']}/cgroup.freeze"), "1", "0"
    file.write_text(on)
    deadline = time.monotonic() + 10
    while cli.state(container_id)["status"] != "paused":
        assert time.monotonic() < deadline
    try:
        yield
    finally:
        file.write_text(off)


@pytest.mark.parametrize("verb", ["state", "kill", "start", "delete"])
def test_what_is_not_there_or_no_id_is_an_error_of_python(cli: Cli, quick: Cli, verb: str) -> None:
    cli.root.mkdir()
    for name in ("nobody", "a/b", "..", "x" * 230, "", "\u00fc"):
        assert left_to_python(quick(verb, name))
        assert cli(verb, name) == cli(verb, name, options=IN_PYTHON)


def frame(record: dict[str, Any]) -> bytes:
    payload = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    return b"\xc1\x4c\x4a\x01" + pack("<II", len(payload), crc32(payload)) + payload


@pytest.mark.parametrize(
    "tail",
    [
        b"\0",
        frame({"record": "status", "status": "created"})[:-1],
        frame({"record": "status", "status": "deleting"}),
        frame({"record": "status", "status": "a later release's"}),
        frame({"record": "a later release's"}),
        frame({"record": "process", "role": "init", "pid": -1, "start_time": 1}),
        frame({"record": "begin", "version": 2}),
    ],
)
def test_a_journal_with_anything_unusual_is_left_to_python(
    cli: Cli, quick: Cli, bundles: Bundles, tail: bytes
) -> None:
    one = create(cli, bundles(*SLEEP))
    agreed(cli, quick, "state", one)
    journal = cli.root / one / "journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + tail)
    try:
        for words in (("state", one), ("kill", one, "0"), ("start", one), ("delete", one)):
            assert left_to_python(quick(*words))
    finally:
        journal.write_bytes(whole)
    agreed(cli, quick, "state", one)


def test_any_flipped_bit_leaves_the_answer_to_python_or_the_same(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP))
    right = quick("state", one)
    assert right.code == 0
    journal = cli.root / one / "journal"
    whole = journal.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 200)):
        journal.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert left_to_python(quick("state", one)), at
    journal.write_bytes(whole)


@pytest.mark.parametrize("options", [(), IN_PYTHON], ids=["front", "python"])
def test_an_answer_waits_for_the_reader_of_a_pipe_that_is_full_and_does_not_block(
    cli: Cli, bundles: Bundles, options: tuple[str, ...]
) -> None:
    one = create(cli, bundles(*SLEEP, change=lambda config: config.update(annotations={"long": "x" * 30000})))
    expected = cli.ok("state", one)
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(write, False)
        process = subprocess.Popen(cli.words("state", one, options=options), stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        found = b""
        while chunk := os.read(read, 1000):
            found += chunk
        _, errors = process.communicate(timeout=20)
    finally:
        os.close(read)
    assert (process.returncode, errors, found.decode()) == (0, b"", expected)


def test_a_closed_stdout_is_pythons_error(cli: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP))
    for options in ((), IN_PYTHON):
        reader, writer = os.pipe()
        os.close(reader)
        command = cli.words("state", one, options=options)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writer)
        assert (done.returncode, "cannot write to stdout" in done.stderr) == (1, True)


def test_the_log_is_made_and_its_failure_reported_before_anything_is_done(
    cli: Cli, quick: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    one = create(cli, bundles(*SLEEP))
    log = tmp_path / "new.log"
    assert quick("state", one, options=("--log", str(log))).code == 0
    assert (log.read_bytes(), log.stat().st_mode & 0o777) == (b"", 0o644)
    logs = (("--log", str(tmp_path)), ("--log", f"{tmp_path}/no/log"))
    for options in (*logs, ("--log-format", "xml"), ("--unknown",), ("--debug",)):
        assert left_to_python(quick("kill", one, "KILL", options=options))
    assert cli.state(one)["status"] == "created"


def test_a_root_that_only_python_can_resolve_is_left_to_it(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP))
    for root, whose in ((f"{cli.root}/", "front"), (f"{cli.root}/../{cli.root.name}", "Python"), ("/", "Python")):
        alone = Cli(quick.program, Path(), MARK)("state", one, options=("--root", root))
        assert left_to_python(alone) == (whose == "Python")


def test_a_root_that_may_be_the_users_is_chosen_by_python(quick: Cli) -> None:
    """Nobody has this id, so the front looks, if it does, below /run/corelaunch and then leaves it to Python."""
    for environment, looks in (
        ({}, True),
        ({"XDG_RUNTIME_DIR": ""}, True),
        ({"XDG_RUNTIME_DIR": "/nowhere"}, False),
        ({"XDG_RUNTIME_DIR": "/nowhere", "USER": "root"}, True),
    ):
        command = ["/usr/bin/strace", "-e", "trace=file", quick.program, "state", f"{MARK}-nobody"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert (f'"/run/corelaunch/{MARK}-nobody"' in done.stderr) == looks, environment


# -- kill ----------------------------------------------------------------------------------------------------

CATCH = 'trap "echo got >/work/got" {0}; touch /work/ready; while :; do sleep 0.05; done'


@pytest.mark.parametrize("signal", ["USR1", "sigusr1", "10", "SIGUSR1", "010"])
def test_a_signal_arrives_by_each_of_its_names(cli: Cli, quick: Cli, bundles: Bundles, signal: str) -> None:
    bundle = bundles("sh", "-c", CATCH.format("USR1"), own_rootfs=True, change=writable)
    one = create(cli, bundle, start=True)
    await_file(Path(bundle, "rootfs/work/ready"))
    assert agreed_kill(quick, one, signal) == Outcome(0, "", "")
    await_file(Path(bundle, "rootfs/work/got"))


def agreed_kill(quick: Cli, *words: str) -> Outcome:
    return quick("kill", *words, options=ENGINE)


def writable(config: dict[str, Any]) -> None:
    config["root"]["readonly"] = False


def await_file(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


@pytest.mark.parametrize("signal", ["", "NOPE", "65", "999", "SIG9", "SIGSIGKILL", "RTMIN+1", "-1", "9 ", "KILL\u017f"])
def test_signals_that_the_front_does_not_know_are_pythons(
    cli: Cli, quick: Cli, bundles: Bundles, signal: str
) -> None:
    one = create(cli, bundles(*SLEEP))
    assert left_to_python(quick("kill", one, signal))


def test_kill_means_term_and_a_dead_container_is_pythons_error(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles(*SLEEP))
    assert agreed_kill(quick, one, "0").code == 0
    assert agreed_kill(quick, one, "KILL").code == 0
    cli.wait_for(one, "stopped")
    assert left_to_python(quick("kill", one))
    assert cli("kill", one) == cli("kill", one, options=IN_PYTHON)
    # The init of a pid namespace gets TERM only if it has a handler for it, so one that has.
    bundle = bundles("sh", "-c", CATCH.format("TERM"), own_rootfs=True, change=writable)
    two = create(cli, bundle, start=True)
    await_file(Path(bundle, "rootfs/work/ready"))
    assert agreed_kill(quick, two).code == 0
    await_file(Path(bundle, "rootfs/work/got"))


def test_all_and_a_shared_pid_namespace_are_pythons(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    def share(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]

    one = create(cli, bundles(*SLEEP))
    assert left_to_python(quick("kill", "--all", one, "KILL"))
    two = create(cli, bundles(*SLEEP, change=share))
    assert left_to_python(quick("kill", two, "KILL"))
    agreed(cli, quick, "state", two)


# -- start ---------------------------------------------------------------------------------------------------


def test_start_leaves_the_same_journal_as_python_and_lets_go_of_its_lock(
    cli: Cli, quick: Cli, bundles: Bundles
) -> None:
    one, two = create(cli, bundles(*SLEEP)), create(cli, bundles(*SLEEP))
    before = {name: len((cli.root / name / "journal").read_bytes()) for name in (one, two)}
    assert quick("start", one, options=ENGINE) == Outcome(0, "", "")
    cli.ok("start", two, options=IN_PYTHON)
    tails = [(cli.root / name / "journal").read_bytes()[before[name] :] for name in (one, two)]
    assert tails[0] == tails[1] == frame({"record": "status", "status": "started"})
    assert sorted(os.listdir(cli.root / one)) == sorted(os.listdir(cli.root / two))
    for name in (one, two):
        assert cli.state(name)["status"] == "running"
        assert left_to_python(quick("start", name))
        assert cli("start", name).err.replace(name, "") == cli("start", two, options=IN_PYTHON).err.replace(two, "")
        cli.ok("kill", name, "KILL")
        cli.wait_for(name, "stopped")
        cli.ok("delete", name)


def test_an_execve_that_fails_is_told_by_python_in_the_same_words(cli: Cli, bundles: Bundles) -> None:
    bundle = bundles("/work/broken", own_rootfs=True)
    program = Path(bundle, "rootfs/work/broken")
    program.write_text("\x7fELF is not what this is")
    program.chmod(0o755)
    seen = []
    for options in ((), IN_PYTHON):
        one = create(cli, bundle)
        outcome = cli("start", one, options=("--log-format", "text", *options))
        assert outcome.code == 1
        cli.wait_for(one, "stopped")
        cli.ok("delete", one)
        seen.append((outcome.out, outcome.err.replace(one, "ID")))
    assert "exec" in seen[0][1]
    assert seen[0] == seen[1]


def test_what_no_init_writes_into_the_error_fifo_is_judged_by_python(cli: Cli, bundles: Bundles) -> None:
    """An init that is silent, or says something else than "start seen", before it is gone."""
    seen: dict[bytes, list[str]] = {}
    for said in (b"", b"x", b"Sx", b"xS"):
        for options in ((), IN_PYTHON):
            one = create(cli, bundles(*SLEEP))
            directory = cli.root / one
            for name in ("start.fifo", "error.fifo"):
                (directory / name).unlink()
                os.mkfifo(directory / name, 0o600)
            ends = [os.open(directory / name, os.O_RDWR) for name in ("start.fifo", "error.fifo")]
            command = subprocess.Popen(
                cli.words("start", one, options=options), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
            )
            os.read(ends[0], 1)
            if said:
                os.write(ends[1], said)
            for end in ends:
                os.close(end)
            _, err = command.communicate(timeout=30)
            assert command.returncode == 1
            seen.setdefault(said, []).append(err.replace(one, "ID"))
            cli.ok("delete", "--force", one)
    assert all(first == second for first, second in seen.values()), seen
    assert "died at the start gate" in seen[b""][0]


@pytest.mark.parametrize("options", [(), IN_PYTHON])
def test_a_start_that_failed_returns_when_the_init_has_ended(
    cli: Cli, bundles: Bundles, options: tuple[str, ...]
) -> None:
    """Else who asks next sees it "running": here the init goes on after its last words, which are another's."""
    one = create(cli, bundles(*SLEEP))
    init = cli.state(one)["pid"]
    for name in ("start.fifo", "error.fifo"):
        (cli.root / one / name).unlink()
        os.mkfifo(cli.root / one / name, 0o600)
    ends = [os.open(cli.root / one / name, os.O_RDWR) for name in ("start.fifo", "error.fifo")]
    command = subprocess.Popen(cli.words("start", one, options=options), stderr=subprocess.DEVNULL)
    os.read(ends[0], 1)
    for end in ends:
        os.close(end)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(2)
    os.kill(init, 9)
    assert command.wait(30) == 1


@pytest.mark.parametrize("options", [(), IN_PYTHON])
def test_a_start_that_cannot_be_written_down_is_an_error_that_says_so(
    bundles: Bundles, tmp_path: Path, options: tuple[str, ...]
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=100", "tmpfs", place], check=True)
    cli = Cli(corelaunch_path(), place / "root", MARK)
    try:
        # The journal ends within a few bytes of its page, so that not even one record has room.
        padding, room = 0, 4096
        while not 4 <= room <= 40:
            one = create(cli, bundles(*SLEEP, change=lambda c, n=padding: c.update(annotations={"a": "x" * n})))
            room = -(cli.root / one / "journal").stat().st_size % 4096
            if not 4 <= room <= 40:
                padding += (room - 20) % 4096
                cli.ok("delete", "--force", one)
        with contextlib.suppress(OSError), open(place / "fill", "wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 512)
        words = cli.words("start", one, options=options)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (
            1,
            f"corelaunch: cannot start container: {one}: no space left on device\n",
        )
    finally:
        (place / "fill").unlink(missing_ok=True)
        cli.delete_all()
        subprocess.run(["umount", place], check=True)


def test_hooks_and_a_waiting_service_manager_are_pythons(
    cli: Cli, quick: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    def hook(config: dict[str, Any]) -> None:
        config["hooks"] = {"poststart": [{"path": "/bin/touch", "args": ["touch", str(tmp_path / "hooked")]}]}

    one = create(cli, bundles(*SLEEP, change=hook))
    assert left_to_python(quick("start", one))
    cli.ok("start", one)
    assert (tmp_path / "hooked").exists()
    two = create(cli, bundles(*SLEEP))
    assert left_to_python(quick("start", two, env={"NOTIFY_SOCKET": "/nowhere"}))
    assert cli.state(two)["status"] == "created"


def test_a_busy_container_is_waited_for_by_python(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    import fcntl

    one = create(cli, bundles(*SLEEP))
    with open(cli.root / one / "journal", "rb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert left_to_python(quick("start", one))
    assert quick("start", one).code == 0


# -- delete --------------------------------------------------------------------------------------------------


def ended(cli: Cli, bundle: str) -> str:
    """A container that was started and killed."""
    one = create(cli, bundle, start=True)
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    return one


def directories_of(cli: Cli, container_id: str) -> list[Path]:
    """Those of its cgroup, as its journal says."""
    state = json.loads((cli.root / container_id / "state.json").read_text())
    (place,) = (record for record in state["records"] if record["record"] == "place")
    found = [Path(path) for path in dict.fromkeys(place["fields"]["paths"].values())]
    assert found
    return found


@pytest.mark.parametrize("force", [(), ("--force",), ("-f",)])
def test_delete_leaves_nothing_of_a_container_that_has_ended(
    cli: Cli, quick: Cli, bundles: Bundles, force: tuple[str, ...]
) -> None:
    one = ended(cli, bundles(*SLEEP))
    cgroup = directories_of(cli, one)
    assert all(path.is_dir() for path in cgroup)
    deadline = time.monotonic() + 10
    while (outcome := quick("delete", *force, one, options=ENGINE)) != Outcome(0, "", ""):
        # The kernel may not have done with the dead yet; then nothing was done here either.
        assert left_to_python(outcome) and time.monotonic() < deadline
    assert not any(path.exists() for path in cgroup) and not (cli.root / one).exists()
    assert left_to_python(quick("delete", one))


def test_a_container_whose_init_ended_by_itself_is_deleted_too(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = create(cli, bundles("true"), start=True)
    cli.wait_for(one, "stopped")
    wait_until(lambda: quick("delete", one).code == 0, 10, "delete")
    assert not (cli.root / one).exists()


@pytest.mark.parametrize("start", [False, True])
def test_one_that_lives_is_left_to_python(cli: Cli, quick: Cli, bundles: Bundles, start: bool) -> None:
    one = create(cli, bundles(*SLEEP), start=start)
    for force in ((), ("--force",)):
        assert left_to_python(quick("delete", *force, one))
    assert cli.state(one)["status"] == ("running" if start else "created")


def test_what_python_has_to_look_after_is_left_to_it(cli: Cli, quick: Cli, bundles: Bundles, tmp_path: Path) -> None:
    def hook(config: dict[str, Any]) -> None:
        config["hooks"] = {"poststop": [{"path": "/bin/touch", "args": ["touch", str(tmp_path / "stopped")]}]}

    one = ended(cli, bundles(*SLEEP, change=hook))
    assert left_to_python(quick("delete", one))
    cli.ok("delete", one)
    assert (tmp_path / "stopped").exists()

    two = ended(cli, bundles(*SLEEP))
    (cli.root / two / "somebody's").touch()
    assert left_to_python(quick("delete", two))
    (cli.root / two / "somebody's").unlink()
    cgroup = directories_of(cli, two)
    (cgroup[0] / "inside").mkdir()
    assert left_to_python(quick("delete", two)), "a cgroup that the container has nested"
    cli.ok("delete", two)
    assert not any(path.exists() for path in cgroup)


def test_a_cgroup_that_took_the_name_since_is_not_removed(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = ended(cli, bundles(*SLEEP))
    (path, *_) = directories_of(cli, one)
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)  # or its inode is used again
    try:
        path.rmdir()
        path.mkdir()
        assert left_to_python(quick("delete", one))
        assert cli("delete", one).code == 0
        assert path.is_dir()
    finally:
        os.close(held)
        path.rmdir()


def test_a_cgroup_with_a_strangers_process_is_left_to_python(cli: Cli, quick: Cli, bundles: Bundles) -> None:
    one = ended(cli, bundles(*SLEEP))
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        for path in directories_of(cli, one):
            if not (path / "cpuset.cpus").exists():
                (path / "cgroup.procs").write_text(str(stranger.pid))
        assert left_to_python(quick("delete", one))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    cli.ok("delete", one)
