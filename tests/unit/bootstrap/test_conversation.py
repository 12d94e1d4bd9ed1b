"""The parent believes nothing that its child says beyond what the sync table and the plan allow."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from corelaunch.bootstrap.channel import Channel, child_error, error_size
from corelaunch.bootstrap.last_words import check_executed, read_to_end
from corelaunch.bootstrap.setns_process import SetnsProcess
from corelaunch.bootstrap.sync import MESSAGES, NAMES, TABLE, SyncMachine
from corelaunch.errors import ChildError, CorelaunchError, DeadlineExceeded, ProtocolError
from corelaunch.kernel import native
from corelaunch.kernel.native import lib


def plan(
    *, userns: bool = False, console: bool = False, listener: bool = False, sources: tuple[int, ...] = ()
) -> Any:
    operations = [SimpleNamespace(flags=lib.CL_FLAG_FROM_PARENT if i in sources else 0) for i in range(8)]
    return SimpleNamespace(
        uid_map="0 0 1\n" if userns else None,
        has_console=console,
        operations=operations,
        listener=("/x", "") if listener else None,
    )


class Conversation:
    """A channel and, at the other end, whatever the test says."""

    def __init__(self, *, hooks: bool = True, netlink: bool = False, seconds: float = 5.0, **of_plan: Any) -> None:
        ours, self.theirs = native.sync_socketpair()
        self.log: list[tuple[str, str]] = []
        machine = SyncMachine(plan(**of_plan), netlink=netlink, hooks=hooks)
        self.channel = Channel(ours, machine, lambda level, text: self.log.append((level, text)), seconds)
        self.sequence = 0

    def say(self, name: str, payload: bytes = b"", fds: tuple[int, ...] = ()) -> None:
        self.sequence = 1 if name == "INIT_ALIVE" else self.sequence + 1
        native.send(self.theirs, MESSAGES[name], self.sequence, payload, fds)

    def hear(self, *names: str) -> None:
        for name in names:
            self.say(name, fds=(0,) if name in ("STAGE2", "CONSOLE") else ())
            said, message = self.channel.receive()
            assert said == name
            for fd in message.fds:
                os.close(fd)

    def close(self) -> None:
        self.channel.close()
        if self.theirs >= 0:
            os.close(self.theirs)


@pytest.fixture
def talk() -> Iterator[Any]:
    made: list[Conversation] = []

    def make(**options: Any) -> Conversation:
        made.append(Conversation(**options))
        return made[-1]

    yield make
    for conversation in made:
        conversation.close()


def error(text: str = "move_mount", *, operation: int = lib.CL_OP_BIND, number: int = 13, path: str = "/x") -> bytes:
    head = pack("=IIIIi", lib.CL_MESSAGE_MAGIC, 2, operation, 3, number)
    return head + path.encode().ljust(lib.CL_ERROR_PATH, b"\0") + text.encode().ljust(lib.CL_ERROR_TEXT, b"\0")


def test_a_whole_launch_follows_the_table(talk: Any) -> None:
    child = talk(userns=True, console=True)
    child.hear("HELLO", "MAPPINGS_WANTED", "STAGE2", "INIT_ALIVE", "HOOKS_REACHED", "CONSOLE", "READY")
    os.close(child.theirs)
    child.theirs = -1
    assert child.channel.receive()[0] == ""


def test_an_exec_knows_no_hooks_point(talk: Any) -> None:
    child = talk(hooks=False)
    child.hear("HELLO", "STAGE2", "INIT_ALIVE")
    child.say("HOOKS_REACHED")
    with pytest.raises(ProtocolError, match="unexpected message from the child: HOOKS_REACHED"):
        child.channel.receive()


def test_a_listener_is_owed_where_the_plan_has_one_and_given_once(talk: Any) -> None:
    launched = ("HELLO", "STAGE2", "INIT_ALIVE", "HOOKS_REACHED", "READY")
    silent = talk(listener=True)
    silent.hear(*launched)
    os.close(silent.theirs)
    silent.theirs = -1
    with pytest.raises(ProtocolError, match="its sync socket closed in phase 'ready'"):
        silent.channel.receive()
    child = talk(listener=True)
    child.hear(*launched, "SECCOMP")
    child.say("SECCOMP")
    with pytest.raises(ProtocolError, match="unexpected message from the child: SECCOMP"):
        child.channel.receive()


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ((), "READY"),
        (("HELLO",), "HELLO"),
        (("HELLO",), "CGROUPS_JOINED"),
        (("HELLO",), "MAPPINGS_WANTED"),
        (("HELLO", "STAGE2", "INIT_ALIVE"), "READY"),
        (("HELLO", "STAGE2", "INIT_ALIVE"), "CONSOLE"),
        (("HELLO", "STAGE2", "INIT_ALIVE", "HOOKS_REACHED"), "HOOKS_REACHED"),
        (("HELLO", "STAGE2", "INIT_ALIVE", "HOOKS_REACHED", "READY"), "READY"),
        (("HELLO", "STAGE2", "INIT_ALIVE"), "RUN"),
        (("HELLO", "STAGE2", "INIT_ALIVE", "HOOKS_REACHED", "READY"), "SECCOMP"),
    ],
)
def test_what_is_out_of_turn_is_a_protocol_error(talk: Any, before: tuple[str, ...], message: str) -> None:
    child = talk()
    child.hear(*before)
    child.say(message, fds=(0,) if message == "CONSOLE" else ())
    with pytest.raises(ProtocolError):
        child.channel.receive()


def test_a_user_namespace_is_not_entered_without_mappings(talk: Any) -> None:
    child = talk(userns=True)
    child.hear("HELLO")
    child.say("STAGE2", fds=(0,))
    with pytest.raises(ProtocolError, match="STAGE2"):
        child.channel.receive()


def test_descriptors_that_nobody_asked_for_are_closed_and_refused(talk: Any) -> None:
    child = talk()
    before = len(os.listdir("/proc/self/fd"))
    child.say("HELLO", fds=(0, 1, 2))
    with pytest.raises(ProtocolError, match="unexpected descriptors"):
        child.channel.receive()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_source_is_given_once_and_only_if_the_plan_has_it(talk: Any) -> None:
    machine = talk(sources=(4,)).channel.machine
    machine.may_ask_for(4)
    for index in (4, 5, -1, 1 << 30):
        with pytest.raises(ProtocolError, match="mount source"):
            machine.may_ask_for(index)


def test_a_message_that_repeats_its_number_is_refused(talk: Any) -> None:
    child = talk()
    child.hear("HELLO")
    child.sequence = 0
    child.say("STAGE2", fds=(0,))
    with pytest.raises(ProtocolError, match="out of order"):
        child.channel.receive()


def test_a_flood_of_log_lines_ends_the_conversation(talk: Any) -> None:
    child = talk(seconds=0.01)
    line = pack(f"=II{lib.CL_ERROR_TEXT}s", lib.CL_LOG_WARNING, 0, b"x")
    with pytest.raises(ProtocolError, match="floods"):
        for _ in range(40):
            for _ in range(10):
                child.say("LOG", line)
            with contextlib.suppress(DeadlineExceeded):
                child.channel.receive()


def test_a_log_line_cannot_carry_terminal_escapes(talk: Any) -> None:
    child = talk()
    child.say("LOG", pack(f"=II{lib.CL_ERROR_TEXT}s", lib.CL_LOG_WARNING, lib.CL_OP_BIND, b"a\x1b[2J\nb"))
    child.hear("HELLO")
    assert child.log == [("warning", "bind: a\\x1b[2J\\nb")]


def test_silence_ends_at_the_deadline(talk: Any) -> None:
    with pytest.raises(DeadlineExceeded, match="phase 'spawned'"):
        talk(seconds=0.05).channel.receive()


def test_an_end_before_ready_is_an_error_that_names_the_phase(talk: Any) -> None:
    child = talk()
    child.hear("HELLO")
    os.close(child.theirs)
    child.theirs = -1
    with pytest.raises(ProtocolError, match="phase 'greeted'"):
        child.channel.receive()


def test_a_childs_error_becomes_ours_with_operation_path_and_errno(talk: Any) -> None:
    child = talk()
    child.say("ERROR", error())
    with pytest.raises(ChildError) as caught:
        child.channel.receive()
    assert str(caught.value) == "bind: move_mount: /x: permission denied"
    assert (caught.value.errno, caught.value.operation, caught.value.operation_index) == (13, "bind", 3)


def test_sending_to_a_child_that_left_an_error_raises_that_error(talk: Any) -> None:
    child = talk()
    child.say("ERROR", error("fsmount"))
    os.close(child.theirs)
    child.theirs = -1
    with pytest.raises(ChildError, match="fsmount"):
        child.channel.send("RUN")


@pytest.mark.parametrize("payload", [b"", b"x", b"\0" * 10, b"\xff" * 4000])
def test_a_malformed_error_is_a_protocol_error(payload: bytes) -> None:
    assert isinstance(child_error(payload), ProtocolError)


def test_an_errno_out_of_range_is_dropped() -> None:
    for number in (0, -5, 1 << 30):
        assert child_error(error(number=number)).errno == 0


def test_the_last_words_tell_executed_failed_and_died_apart() -> None:
    seen = bytes([lib.CL_START_SEEN])
    assert check_executed(seen, gated=True)
    assert check_executed(b"", gated=False)
    assert not check_executed(b"", gated=True)
    with pytest.raises(ChildError, match="no such file or directory"):
        check_executed(seen + error("exec /x", operation=lib.CL_OP_EXEC, number=2), gated=True)
    with pytest.raises(ProtocolError):
        check_executed(b"rubbish", gated=True)


def test_last_words_are_bounded_in_size_and_time() -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    with pytest.raises(DeadlineExceeded):
        read_to_end(read, 0.05)
    os.write(write, b"x" * 60000)
    assert len(read_to_end(read, 5)) == error_size() + 2
    os.close(read)
    os.close(write)


def test_a_child_that_is_excused_again_and_again_can_still_answer() -> None:
    """An exec in a container that stays paused for a day: a phase's time is over more than a thousand times."""
    child = Conversation(seconds=0.001)
    times = iter(range(3000))

    def excused() -> bool:
        if next(times) == 2000:
            child.say("HELLO")
        return True

    child.channel._excused = excused
    assert child.channel.receive()[0] == "HELLO"
    child.close()


def test_an_exec_has_a_whole_term_after_its_container_was_resumed() -> None:
    """It may be resumed a moment before the time is over: nobody could answer in that moment."""
    frozen = iter([False, True, True, False, False])
    process = SetnsProcess(SimpleNamespace(cpu_affinity=None), print, None, 0, lambda: next(frozen))  # type: ignore[arg-type]
    assert [process.excused() for _ in range(5)] == [False, True, True, True, False]


def test_random_transcripts_end_in_our_own_errors_and_leak_nothing(talk: Any) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    print(f"seed {seed}")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(400):
        likely = {name: chance.random() < 0.5 for name in ("userns", "console", "listener")}
        child = Conversation(**likely, seconds=0.05)
        try:
            for _ in range(chance.randrange(12)):
                number = chance.choice([*NAMES, 0, 99, 65535])
                payload = bytes(chance.randrange(256) for _ in range(chance.choice((0, 4, 8, 500))))
                fds = (0,) * chance.choice((0, 0, 1, 2))
                native.send(child.theirs, number, chance.choice((1, 2, 3)), payload, fds)
                for fd in child.channel.receive()[1].fds:
                    os.close(fd)
        except CorelaunchError:
            pass
        child.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_every_message_of_the_header_stands_in_the_table_or_is_the_parents() -> None:
    header = {n[len("CL_MSG_") :] for n in dir(lib) if n.startswith("CL_MSG_")}
    assert header == set(MESSAGES)
    from_child = {message for _, message, _, _ in TABLE} - {""}
    from_parent = {"BOOTSTRAP", "MAPPINGS_WRITTEN", "PLAN", "SOURCE", "HOOKS_DONE", "RUN", "CGROUPS", "SECCOMP_DONE"}
    assert from_child | from_parent | {"LOG", "ERROR"} == header
