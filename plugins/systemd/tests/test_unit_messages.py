"""Messages to systemd and from it, and bytes that nobody should have sent."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import pytest
from corelaunch_systemd import messages
from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, HeaderFields, Parser, new_method_call, new_method_return, new_signal
from jeepney.low_level import Endianness, MessageType

MANAGER = DBusAddress("/org/x", "org.x.y", "org.x.Manager")


def asked() -> Any:
    made = new_method_call(MANAGER, "Get", "ss", ("a", "b"))
    made.header.serial = 9
    return made


def reply(signature: str, *body: Any, order: Endianness = Endianness.little) -> bytes:
    made = new_method_return(asked(), signature, body)
    made.header.endianness = order
    encoded: bytes = made.serialise(3)
    return encoded


def read(data: bytes) -> list[messages.Incoming]:
    return list(messages.Reader().feed(data))


def test_a_call_is_read_by_others_as_it_was_meant() -> None:
    body = ("a.scope", "fail", [("PIDs", ("au", [7])), ("Delegate", ("b", True)), ("M", ("ay", b"\1\2"))], [])
    ours = messages.call(9, "org.x.y", "/org/x", "org.x.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    (message,) = Parser().feed(ours)
    assert message.body == body
    theirs = new_method_call(MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    assert message.header.fields == theirs.header.fields
    assert (message.header.serial, message.header.message_type) == (9, MessageType.method_call)


def test_a_call_without_arguments_has_the_bytes_of_the_specification() -> None:
    fields = b"\1\1o\0\2\0\0\0/a\0\0\0\0\0\0" b"\2\1s\0\3\0\0\0b.c\0\0\0\0\0" b"\3\1s\0\1\0\0\0D\0\0\0\0\0\0\0"
    fields += b"\6\1s\0\3\0\0\0e.f\0"
    expected = b"l\1\0\1" + struct.pack("<III", 0, 5, len(fields)) + fields
    assert messages.call(5, "e.f", "/a", "b.c", "D", "", ()) == expected + bytes(-len(expected) % 8)


@pytest.mark.parametrize(
    ("signature", "value"),
    [("s", 5), ("u", -1), ("u", 1 << 32), ("y", 256), ("(su)", ("a",)), ("v", ("z", 1)), ("q", None), ("s", "\ud800")],
)
def test_a_value_of_another_type_is_refused(signature: str, value: Any) -> None:
    with pytest.raises(ValueError):
        messages.call(1, "org.x.y", "/org/x", "org.x.Manager", "M", signature, (value,))


@pytest.mark.parametrize("size", [1, 7, 100000])
@pytest.mark.parametrize("order", Endianness)
def test_messages_are_cut_wherever_they_arrive(size: int, order: Endianness) -> None:
    made = new_signal(MANAGER, "JobRemoved", "uoss", (1, "/job/1", "x.scope", "done"))
    made.header.endianness = order
    made.header.fields[HeaderFields.sender] = ":1.5"
    data = made.serialise(3) + reply("v", ("t", 1 << 63), order=order) + made.serialise(4)
    reader = messages.Reader()
    found = [message for at in range(0, len(data), size) for message in reader.feed(data[at : at + size])]
    ended = ("signal", "JobRemoved", ":1.5", 0, "uoss", (1, "/job/1", "x.scope", "done"))
    answered = ("reply", "", "", 9, "v", (("t", 1 << 63),))
    assert [(m.kind, m.name, m.sender, m.reply_to, m.signature, m.body) for m in found] == [ended, answered, ended]


@given(st.binary(max_size=200), st.sampled_from([b"", b"l\2\0\1", b"B\2\0\1", b"l\4\0\1\0\0\0\0\1\0\0\0"]))
def test_bytes_that_are_no_messages_are_a_value_error(data: bytes, beginning: bytes) -> None:
    try:
        for message in read(beginning + data):
            assert message.body is not None
    except ValueError:
        pass


@given(st.data())
def test_a_message_with_wrong_bytes_in_it_is_read_or_a_value_error(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(BODIES)))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        for message in read(bytes(damaged)):
            assert isinstance(message.body, tuple)
    except ValueError:
        pass


BODIES = [reply("o", "/a/b"), reply("v", ("ay", b"12345678")), reply("v", ("a(ss)", [("a", "b")])), reply("")]


@pytest.mark.parametrize("body", BODIES)
def test_of_a_message_that_is_cut_off_nothing_is_read(body: bytes) -> None:
    assert [read(body[:length]) for length in range(len(body))] == [[]] * len(body)
    (whole,) = read(body)
    assert whole.body is not None


@pytest.mark.parametrize("length", [0, 1, 3, 5, 1 << 26, (1 << 32) - 1])
def test_a_length_that_does_not_fit_its_message_is_refused(length: int) -> None:
    for whole, at in ((reply("v", ("ay", b"1234")), -8), (reply("v", ("s", "123")), -8)):
        assert whole[at : at + 4] in (b"\4\0\0\0", b"\3\0\0\0")
        damaged = whole[:at] + struct.pack("<I", length) + whole[at + 4 :]
        (message,) = read(damaged)
        if damaged != whole:
            with pytest.raises(ValueError):
                _ = message.body


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request",
        b"l\2\0\2" + bytes(12),  # of another version
        b"l\2\0\1" + struct.pack("<III", 1 << 30, 1, 0),
        b"l\2\0\1" + struct.pack("<III", 0, 1, 1 << 30),
        b"B" + reply("o", "/a")[1:],  # as long as 1 GiB and more, if the numbers were of that order
        b"l\7\0\1" + struct.pack("<III", 0, 1, 0),  # of no type
    ],
)
def test_what_is_not_dbus_or_too_long_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ValueError):
        read(data)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["a()", "a(())", "aa()", "v"])
def test_a_type_of_no_bytes_is_not_read_for_ever(kind: str) -> None:
    inner = bytes((len(kind),)) + kind.encode() + b"\0"
    body = inner + bytes(-len(inner) % 4) + struct.pack("<II", 8, 8) + bytes(16)
    whole = reply("v", ("s", ""))
    header = whole[: -len(b"\1s\0\0\0\0\0\0\0")]
    (message,) = read(b"l\2\0\1" + struct.pack("<I", len(body)) + header[8:] + body)
    with pytest.raises(ValueError, match="not asked for"):
        _ = message.body
    fields = b"\1" + inner + bytes(-(1 + len(inner)) % 4) + struct.pack("<II", 8, 8) + bytes(16)
    with pytest.raises(ValueError):
        read(b"l\2\0\1" + struct.pack("<III", 0, 1, len(fields)) + fields + bytes(-len(fields) % 8))


def run(code: str) -> str:
    start = f"import sys; sys.path[:0] = {sys.path!r}\nfrom corelaunch_systemd import jeepney_messages\n"
    done = subprocess.run([sys.executable, "-c", start + code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("signature", ["z", "(", "a", ")", "oo", "", "h"])
def test_arguments_of_no_such_types_are_refused(signature: str) -> None:
    header = reply("o", "/a")[:-12]
    fields = header[16:24] + b"\x08\1g\0" + bytes((len(signature),)) + signature.encode() + b"\0"
    start = b"l\2\0\1" + struct.pack("<III", 7, 3, len(fields))
    (message,) = read(start + fields + bytes(-len(fields) % 8) + b"\2\0\0\0/a\0")
    assert (message.signature, message.reply_to) == (signature, 9)
    with pytest.raises(ValueError):
        _ = message.body


def test_of_jeepney_only_the_messages_are_loaded() -> None:
    code = "import corelaunch_systemd.messages; print(*(m for m in sorted(sys.modules) if m.startswith('jeepney')))"
    assert run(code) == "jeepney jeepney.low_level"


def test_what_speaks_no_dbus_loads_no_jeepney() -> None:
    code = """
from corelaunch_systemd import bus, limits, manager, placing, systemd, units
from corelaunch_systemd.properties import asked_for
asked_for({"org.systemd.property.CPUWeight": "uint64 1"})
print("jeepney" in sys.modules)
"""
    assert run(code) == "False"


def test_all_of_jeepney_is_there_for_whoever_asks_later() -> None:
    code = """
low_level = jeepney_messages.load()
import jeepney
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
assert jeepney.low_level is low_level and jeepney.Parser is low_level.Parser
print(jeepney.__version__[:4])
"""
    assert run(code) == "0.9."
    assert run("jeepney_messages.load()\nimport jeepney\nprint(jeepney.__version__[:4])") == "0.9."


def test_a_jeepney_that_was_imported_before_is_used_as_it_is() -> None:
    code = """
import jeepney
before = dict(vars(jeepney))
print(jeepney_messages.load() is jeepney.low_level, dict(vars(jeepney)) == before)
"""
    assert run(code) == "True True"


def test_a_missing_jeepney_is_named() -> None:
    code = """
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
try:
    jeepney_messages.load()
except ModuleNotFoundError as error:
    print(error.name, "jeepney" in sys.modules)
"""
    assert run(code) == "jeepney False"
