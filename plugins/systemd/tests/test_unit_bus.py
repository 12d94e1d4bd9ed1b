"""What only a broken systemd says: a scripted one on a socket of its own, for errors that a real one does not make."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_systemd import bus, parts
from corelaunch_systemd.bus import BusError, Connection, Disconnected, Garbled
from corelaunch_systemd.systemd import Systemd, version_number
from jeepney import HeaderFields, MessageType, Parser, new_error, new_method_return, new_signal
from jeepney.wrappers import DBusAddress

from corelaunch.api import DeadlineExceeded, Unsupported

Script = Callable[[socket.socket], None]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Serves each connection with the next script; gives the socket's path."""
    path = str(tmp_path / "private")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    threads = []

    def begin(*scripts: Script) -> str:
        listening.listen()

        def run() -> None:
            for script in scripts:
                connection, _ = listening.accept()
                with connection:
                    script(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return path

    yield begin
    for thread in threads:
        thread.join(5)
    listening.close()


def greet(connection: socket.socket, said: bytes = b"DATA\r\nOK 0123456789abcdef\r\n") -> None:
    text = b""
    while not text.endswith(b"BEGIN\r\n"):
        text += connection.recv(100)
    connection.sendall(said)


def answers(*replies: Callable[..., bytes]) -> Script:
    """Takes one call after the other, and answers each."""

    def script(connection: socket.socket) -> None:
        greet(connection)
        parser, calls = Parser(), []
        for reply in replies:
            while not calls:
                data = connection.recv(4096)
                if not data:
                    return
                calls += parser.feed(data)
            connection.sendall(reply(calls.pop(0)))

    return script


def answer(signature: str, *body: object) -> Callable[..., bytes]:
    return lambda call: new_method_return(call, signature, body).serialise(1)


def value(signature: str, content: object) -> Callable[..., bytes]:
    return answer("v", (signature, content))


def open_at(path: str, seconds: float = 5) -> Connection:
    return Connection(path, False, time.monotonic() + seconds)


@pytest.fixture
def systemd(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Systemd]:
    """systemd as the scripts play it."""

    def connected(*scripts: Script, seconds: float = 5) -> Systemd:
        path = serve(*scripts)
        monkeypatch.setattr(bus, "addresses", lambda manager: [(path, False)])
        return Systemd(parts.SYSTEM, time.monotonic() + seconds)

    return connected


@pytest.mark.parametrize("said", [b"REJECTED EXTERNAL\r\n", b"ERROR no\r\n", b"DATA\r\nREJECTED\r\n"])
def test_a_server_that_does_not_let_us_in_is_an_error(serve: Callable[..., str], said: bytes) -> None:
    with pytest.raises(BusError):
        open_at(serve(lambda connection: greet(connection, said)))


def test_an_older_server_that_needs_no_data_lets_us_in(serve: Callable[..., str]) -> None:
    with open_at(serve(lambda connection: greet(connection, b"OK 0123456789abcdef\r\nERROR\r\n"))):
        pass


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_the_deadline(serve: Callable[..., str]) -> None:
    done = threading.Event()
    path = serve(lambda connection: done.wait(5) and None)
    with pytest.raises(DeadlineExceeded, match="does not answer"):
        open_at(path, 0.2)
    done.set()


def test_an_answer_that_does_not_come_is_an_error(serve: Callable[..., str]) -> None:
    done = threading.Event()

    def script(connection: socket.socket) -> None:
        greet(connection)
        done.wait(5)

    with open_at(serve(script), 0.3) as connection, pytest.raises(DeadlineExceeded, match="GetUnit"):
        connection.call(bus.MANAGER, "GetUnit", "s", "a.scope")
    done.set()


def test_an_end_in_the_midst_of_an_answer_is_a_hang_up(serve: Callable[..., str]) -> None:
    script = answers(lambda call: value("s", "x")(call)[:-3])
    with open_at(serve(script)) as connection, pytest.raises(Disconnected, match="hung up"):
        connection.call(bus.MANAGER, "GetUnit", "s", "a.scope", returns="o")


NO_ANSWERS: list[Callable[..., bytes]] = [
    lambda call: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    lambda call: b"l\2\0\1" + b"\xff" * 12,
    lambda call: b"B" + answer("o", "/a")(call)[1:],  # its numbers are of the other order
    lambda call: answer("o", "/abc")(call)[:-1] + b"x",  # the text has no end
    lambda call: answer("o", "/abc")(call).replace(b"\4\0\0\0/abc", b"\xf0\0\0\0/abc"),  # it ends after its message
    answer("s", "/a"),
    answer(""),
    answer("oo", "/a", "/b"),
    answer("v", ("o", "/a")),
]


@pytest.mark.parametrize("said", NO_ANSWERS)
def test_what_is_no_answer_is_an_error_at_once_and_not_asked_again(
    systemd: Callable[..., Systemd], said: Callable[..., bytes]
) -> None:
    with systemd(answers(said)) as played, pytest.raises(Garbled, match="does not speak D-Bus"):
        played.find("a.scope")


def test_the_answer_to_another_call_is_none_to_ours(serve: Callable[..., str]) -> None:
    def script(call: Any) -> bytes:
        ours = call.header.serial
        call.header.serial = ours + 1
        theirs = new_method_return(call, "o", ("/theirs",)).serialise(1)
        refusal = new_error(call, "org.x.Refused").serialise(2)
        call.header.serial = ours
        return theirs + refusal + new_method_return(call, "o", ("/ours",)).serialise(3)

    with open_at(serve(answers(script))) as connection:
        assert connection.call(bus.MANAGER, "GetUnit", "s", "a.scope", returns="o") == ("/ours",)


def test_signals_between_the_parts_of_an_answer_are_not_taken_for_it(serve: Callable[..., str]) -> None:
    def script(connection: socket.socket) -> None:
        greet(connection)
        (call,) = Parser().feed(connection.recv(4096))
        address = DBusAddress("/x", bus.SYSTEMD, bus.PROPERTIES)
        changed = new_signal(address, "PropertiesChanged", "sa{sv}as", ("x", {"A": ("v", ("s", "()"))}, []))
        changed.header.fields[HeaderFields.reply_serial] = call.header.serial
        said = changed.serialise(1) + new_method_return(call, "o", ("/a",)).serialise(2)
        for at in range(0, len(said), 7):
            connection.sendall(said[at : at + 7])

    with open_at(serve(script)) as connection:
        assert connection.call(bus.MANAGER, "GetUnit", "s", "a.scope", returns="o") == ("/a",)


def test_the_end_of_a_job_in_other_words_is_not_believed(systemd: Callable[..., Systemd]) -> None:
    job = "/org/freedesktop/systemd1/job/7"
    address = DBusAddress(bus.MANAGER_PATH, bus.SYSTEMD, bus.MANAGER)

    def reply(call: Any) -> bytes:
        short = new_signal(address, "JobRemoved", "uo", (7, job))
        return short.serialise(1) + new_method_return(call, "o", (job,)).serialise(2)

    with systemd(answers(reply, lambda call: b"?" * 16)) as played, pytest.raises(Garbled):
        played.start("a.scope", [])


def test_a_refusal_has_its_name_and_text(serve: Callable[..., str]) -> None:
    refusal = answers(lambda call: new_error(call, "org.x.Refused", "s", ("because",)).serialise(1))
    with open_at(serve(refusal)) as connection, pytest.raises(BusError) as caught:
        connection.call(bus.MANAGER, "GetUnit", "s", "a.scope")
    assert (caught.value.name, caught.value.text) == ("org.x.Refused", "because")


def test_a_systemd_that_is_too_old_is_refused(systemd: Callable[..., Systemd]) -> None:
    with systemd(answers(value("s", "238"), value("s", "/"))) as old, pytest.raises(Unsupported, match="version 238"):
        old.about()


def test_one_that_hangs_up_is_asked_again(systemd: Callable[..., Systemd]) -> None:
    with systemd(greet, answers(value("s", "252.39-1~deb12u2"), value("s", "/init"))) as anew:
        assert anew.about() == (252, "/init")


def job_ended(result: str) -> Callable[..., bytes]:
    address = DBusAddress(bus.MANAGER_PATH, bus.SYSTEMD, bus.MANAGER)

    def reply(call: object) -> bytes:
        signal = new_signal(address, "JobRemoved", "uoss", (7, "/org/freedesktop/systemd1/job/7", "a.scope", result))
        other = new_signal(address, "JobRemoved", "uoss", (8, "/org/freedesktop/systemd1/job/8", "b.scope", "done"))
        assert signal.header.message_type == MessageType.signal
        answer = new_method_return(call, "o", ("/org/freedesktop/systemd1/job/7",)).serialise(3)
        return other.serialise(1) + signal.serialise(2) + answer  # the job may have ended before its answer is sent

    return reply


@pytest.mark.parametrize("result", ["canceled", "timeout", "failed", "dependency", "skipped"])
def test_a_job_that_does_not_succeed_is_an_error_with_its_result(systemd: Callable[..., Systemd], result: str) -> None:
    with systemd(answers(job_ended(result))) as played, pytest.raises(Exception, match=f"a.scope.*'{result}'"):
        played.start("a.scope", [])


def test_a_job_that_has_ended_before_its_answer_is_not_waited_for(systemd: Callable[..., Systemd]) -> None:
    with systemd(answers(job_ended("done"))) as played:
        played.start("a.scope", [])


def test_a_job_whose_end_nobody_told_is_found_out(systemd: Callable[..., Systemd]) -> None:
    unknown = "org.freedesktop.DBus.Error.UnknownObject"
    script = answers(
        lambda call: new_method_return(call, "o", ("/org/freedesktop/systemd1/job/7",)).serialise(1),
        lambda call: new_error(call, unknown, "s", ("no such job",)).serialise(2),
        lambda call: new_method_return(call, "o", ("/org/freedesktop/systemd1/unit/a_2escope",)).serialise(3),
        value("s", "active"),
        value("s", "a"),
        value("ay", b"\1\2"),
    )
    with systemd(script) as played:
        played.start("a.scope", [])


def test_the_user_is_told_what_to_do_without_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with pytest.raises(Unsupported, match=r"XDG_RUNTIME_DIR.*enable-linger"):
        bus.connect(parts.USER, time.monotonic() + 5)


def test_the_users_own_socket_is_asked_before_his_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "tcp:host=x;unix:abstract=/x;unix:path=/run/b,guid=0")
    assert bus.addresses(parts.USER) == [
        (f"{tmp_path}/systemd/private", False),
        ("/run/b", True),
        (f"{tmp_path}/bus", True),
    ]


def test_version_numbers() -> None:
    texts = {"252.39-1~deb12u2": 252, "v255.4-1.fc40": 255, "239": 239, "": 0, "x": 0}
    assert {text: version_number(text) for text in texts} == texts
