"""The D-Bus wire format, held against jeepney, and against bytes that nobody should have sent."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from corelaunch_systemd import messages, wire
from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, HeaderFields, Parser, new_method_call
from jeepney.low_level import Endianness, MessageType, parse_signature

_LETTERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_SIMPLE = {
    "y": st.integers(0, 255),
    "b": st.booleans(),
    "n": st.integers(-(1 << 15), (1 << 15) - 1),
    "q": st.integers(0, (1 << 16) - 1),
    "i": st.integers(-(1 << 31), (1 << 31) - 1),
    "u": st.integers(0, (1 << 32) - 1),
    "x": st.integers(-(1 << 63), (1 << 63) - 1),
    "t": st.integers(0, (1 << 64) - 1),
    "d": st.floats(allow_nan=False),
    "s": _LETTERS,
    "o": st.just("/org/freedesktop/systemd1"),
    "g": st.sampled_from(["", "s", "a(sv)"]),
}
SIGNATURES = st.recursive(
    st.sampled_from([*_SIMPLE, "v"]),
    lambda inner: st.one_of(
        inner.map(lambda s: f"a{s}"), st.lists(inner, min_size=1, max_size=3).map(lambda s: f"({''.join(s)})")
    ),
    max_leaves=6,
)


def values(kind: str) -> st.SearchStrategy[Any]:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind == "v":
        return st.sampled_from([*_SIMPLE, "as", "(st)"]).flatmap(lambda s: st.tuples(st.just(s), values(s)))
    if kind == "ay":
        return st.binary(max_size=10)
    if kind[0] == "a":
        return st.lists(values(kind[1:]), max_size=3)
    return st.tuples(*map(values, wire.split(kind[1:-1])))


def plain(kind: str, value: Any) -> Any:
    """The value as decode gives it: variants are the values in them."""
    if kind == "v":
        return plain(*value)
    if kind[0] == "a" and kind != "ay":
        return [plain(kind[1:], item) for item in value]
    if kind[0] == "(":
        return tuple(plain(k, item) for k, item in zip(wire.split(kind[1:-1]), value))
    return value


@given(st.data())
def test_values_become_the_bytes_of_jeepney_and_come_back(data: st.DataObject) -> None:
    signature = data.draw(SIGNATURES)
    value = data.draw(values(signature))
    encoded = wire.encode(signature, [value])
    assert encoded == parse_signature(list(f"({signature})")).serialise((value,), 0, Endianness.little)
    assert wire.decode(signature, encoded, "<") == (plain(signature, value),)


def test_a_call_is_the_call_of_jeepney() -> None:
    body = ("a.scope", "fail", [("PIDs", ("au", [7])), ("Delegate", ("b", True))], [])
    ours = messages.call(9, "org.x.y", "/org/x", "org.x.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    (message,) = Parser().feed(ours)
    assert message.body == body
    address = DBusAddress("/org/x", "org.x.y", "org.x.Manager")
    theirs = new_method_call(address, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    assert message.header.fields == theirs.header.fields
    assert (message.header.serial, message.header.message_type) == (9, MessageType.method_call)


@pytest.mark.parametrize("size", [1, 7, 100000])
@pytest.mark.parametrize("order", [Endianness.little, Endianness.big])
def test_messages_are_cut_wherever_they_arrive(size: int, order: Endianness) -> None:
    made = new_method_call(DBusAddress("/a", "b.c", "d.e"), "JobRemoved", "uoss", (1, "/job/1", "x.scope", "done"))
    made.header.endianness = order
    made.header.message_type = MessageType.signal
    made.header.fields[HeaderFields.sender] = ":1.5"
    data = made.serialise(3) + made.serialise(4)
    reader = messages.Reader()
    found = [message for at in range(0, len(data), size) for message in reader.feed(data[at : at + size])]
    assert [(m.kind, m.name, m.sender, m.body[1:]) for m in found] == [
        ("signal", "JobRemoved", ":1.5", ("/job/1", "x.scope", "done"))
    ] * 2


@given(st.binary(max_size=200))
def test_bytes_that_are_no_messages_are_a_value_error(data: bytes) -> None:
    try:
        for message in messages.Reader().feed(data):
            assert message.body is not None
    except ValueError:
        pass


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request", b"l\2\0\1" + struct.pack("<III", 1 << 30, 1, 0)])
def test_what_is_not_dbus_or_too_long_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ValueError):
        list(messages.Reader().feed(data))


@pytest.mark.parametrize(
    ("signature", "value"),
    [("s", 5), ("u", -1), ("u", 1 << 32), ("y", 256), ("(su)", ("a",)), ("v", ("z", 1)), ("q", None), ("g", 1)],
)
def test_a_value_of_another_type_is_refused(signature: str, value: Any) -> None:
    with pytest.raises(ValueError):
        wire.encode(signature, [value])


@pytest.mark.parametrize("signature", ["a", "(", "(s", "()", "z", "{", ")", "a" * 100 + "s"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(ValueError):
        wire.split(signature)
