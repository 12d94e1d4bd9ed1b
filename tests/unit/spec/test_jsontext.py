"""JSON without the json package: the same values as the json package, or a refusal that says where."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelaunch import jsontext
from corelaunch.errors import ConfigError
from corelaunch.jsontext import JsonError, dumps, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@given(VALUES)
def test_what_json_writes_is_read_the_same(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@given(VALUES)
def test_what_is_written_json_reads_the_same(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    assert json.loads(dumps(value, 2)) == value


@given(VALUES)
def test_the_text_is_that_of_the_json_package(value: Any) -> None:
    assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert dumps(value, 2) == json.dumps(value, ensure_ascii=False, indent=2)


@given(st.text())
def test_any_text_is_read_as_json_reads_it_or_refused(text: str) -> None:
    compare(text)


@given(VALUES, st.data())
def test_damaged_json_is_read_as_json_reads_it_or_refused(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 3))
    compare(
        text[:at]
        + data.draw(st.sampled_from(["", "{", "}", "[", ",", '"', "\\", "\\ud800", "NaN", "1e999", "\x00"]))
        + text[at + length :]
    )


def compare(text: str) -> None:
    try:
        value = loads(text)
    except JsonError as error:
        assert error.line().startswith("invalid JSON: JSON")
        if refused_by_json(text):
            return
        # what only we refuse
        assert error.why.endswith(("is not a JSON number", "out of range", "surrogate pair", "byte order mark")), error
    else:
        assert json.loads(text) == value


def refused_by_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


REFUSED = [
    ("", "JSON:1:1", "a value is missing"),
    ("  \n ", "JSON:2:2", "a value is missing"),
    ("{", "JSON:1:2", "expecting property name"),
    ('{"a":1,}', "JSON:1:8", "expecting property name"),
    ("[1,]", "JSON:1:4", "a value is missing"),
    ('{\n  "a": nope\n}', "JSON:2:8", "a value is missing"),
    ('{"a" 1}', "JSON:1:6", "expecting ':' delimiter"),
    ("[1 2]", "JSON:1:4", "expecting ',' delimiter"),
    ("1 2", "JSON:1:3", "there is more text after the value"),
    ('"a', "JSON:1:1", "unterminated string"),
    ('"\x01"', "JSON:1:2", "invalid control character"),
    ('"\\x"', "JSON:1:2", "invalid \\escape"),
    ("'a'", "JSON:1:1", "a value is missing"),
    ("// x\n1", "JSON:1:1", "a value is missing"),
    ("\ufeff1", "JSON:1:1", "byte order mark"),
    ("NaN", "JSON", "NaN is not a JSON number"),
    ("[-Infinity]", "JSON", "-Infinity is not a JSON number"),
    ("1e999", "JSON", "number 1e999 is out of range"),
    ("9" * 5000, "JSON", "4300 digits"),
    ('"\\ud800"', "JSON", "half of a surrogate pair"),
    ('{"a":{"b":["\\udc00"]}}', "JSON: a.b[0]", "half of a surrogate pair"),
    ('"\ud800"', "JSON", "half of a surrogate pair"),
    (b'{"a":\n"\xff"}', "JSON:2:2", "not UTF-8"),
    ("[" * 100_000, "JSON", "nested too deeply"),
    ('{"a":' * 100_000, "JSON", "nested too deeply"),
]


@pytest.mark.parametrize(("text", "where", "why"), REFUSED, ids=[repr(case[0][:12]) for case in REFUSED])
def test_what_is_refused_is_refused_with_its_place(text: str | bytes, where: str, why: str) -> None:
    with pytest.raises(JsonError) as caught:
        loads(text)
    assert caught.value.where == where
    assert why in caught.value.why
    assert isinstance(caught.value, ConfigError)
    assert isinstance(caught.value, ValueError)


def test_more_than_16_mib_are_refused() -> None:
    assert len(loads(f'"{"x" * (jsontext.SIZE_LIMIT - 2)}"')) == jsontext.SIZE_LIMIT - 2
    with pytest.raises(JsonError, match="larger than 16 MiB"):
        loads(f'"{"x" * (jsontext.SIZE_LIMIT - 1)}"')


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert loads('{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


def test_a_byte_that_was_no_utf_8_is_read_only_where_that_is_asked_for() -> None:
    text = '{"a\\udcff":["\\udc80","\\\\udcff"]}'
    assert loads(text, undecodable=True) == {"a\udcff": ["\udc80", "\\udcff"]}
    for refused in (text, '"\\udc7f"', '"\\udd00"', '"\\ud83d"', '"\\ud83d\\\\udcff"', '{"\\ud800":1}'):
        with pytest.raises(JsonError, match="half of a surrogate pair"):
            loads(refused, undecodable=refused is not text)


def test_a_surrogate_pair_in_escapes_is_one_character() -> None:
    assert loads('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan]])
@pytest.mark.parametrize("indent", [0, 2])
def test_a_number_that_json_lacks_is_not_written(value: Any, indent: int) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value, indent)


@pytest.mark.parametrize("value", [{1}, b"x", object(), {"a": {1}}])
@pytest.mark.parametrize("indent", [0, 2])
def test_a_value_without_a_json_form_is_not_written(value: Any, indent: int) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        dumps(value, indent)


def test_the_json_package_is_imported_only_for_an_error() -> None:
    program = (
        "import sys; from corelaunch import jsontext as j\n"
        'j.dumps(j.loads(\'{"a": [1, 2.5, "x"]}\'), 2); j.dumps({})\n'
        "assert not {'json', 're', 'enum', 'typing'} & set(sys.modules), sys.modules\n"
        "try: j.loads('{')\n"
        "except j.JsonError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("invalid JSON: JSON:1:2: expecting property name")


def test_without_the_c_scanner_the_answers_are_the_same() -> None:
    program = (
        "import sys; sys.modules['_json'] = None; from corelaunch import jsontext as j\n"
        "assert j.make_encoder is None\n"
        "value = {'a': [1, -2.5, None, True, 'x\\n'], 'b': {}}\n"
        "assert j.loads(j.dumps(value)) == value == j.loads(j.dumps(value, 2))\n"
        "for text in ('{', 'NaN', '1e999', '[1,', '[' * 100000):\n"
        "    try: print(j.loads(text))\n"
        "    except j.JsonError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.count("invalid JSON") == 5
