"""JSON text to values and back, on the launch path.

``import json`` pulls in ``re``, ``enum`` and ``functools``, a fifth of a launch's start-up. The C scanner and
encoder that it is made of, ``_json``, need none of them, so they are used directly; the json package is imported
only when there is an error to describe, or where ``_json`` does not exist.

Stricter than the json package, because what is read here came from elsewhere: no NaN or Infinity (RFC 8259), no
byte order mark, no lone surrogates (they cannot be written back as UTF-8, and Go replaces them silently), at most
16 MiB and a bounded depth. Of duplicate keys the last one counts, as in Go.
"""

from __future__ import annotations

from .errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    make_scanner: Any
    make_encoder: Any
    encode_basestring: Callable[[str], str]
else:
    try:
        from _json import encode_basestring, make_encoder, make_scanner
    except ImportError:  # an interpreter without the accelerator: the json package has the same parts in Python
        from json.encoder import encode_basestring
        from json.scanner import make_scanner

        make_encoder = None

#: Largest text that is read, in bytes (or characters, if text was given).
SIZE_LIMIT = 16 * 1024 * 1024

_WHITESPACE = " \t\n\r"


class JsonError(ConfigError, ValueError):
    """The text is not JSON that we accept; ``where`` is ``name:line:column``, both from 1.

    A ValueError too, so that who only asks "is it JSON?" needs no class of ours.
    """


class _Context:
    """What ``make_scanner`` wants to know; the attributes are json.JSONDecoder's."""

    def __init__(self) -> None:
        self.strict = True
        self.object_hook = None
        self.object_pairs_hook = None
        self.parse_float = _finite
        self.parse_int = int
        self.parse_constant = _no_constant
        self.memo: dict[str, str] = {}
        if make_encoder is None:
            # The scanner in Python, unlike the one in C, is handed its parts.
            from json import decoder

            self.parse_object = decoder.JSONObject  # type: ignore[attr-defined]
            self.parse_array = decoder.JSONArray  # type: ignore[attr-defined]
            self.parse_string = decoder.scanstring  # type: ignore[attr-defined]


def loads(text: str | bytes, name: str = "JSON", *, undecodable: bool = False) -> Any:
    """The value that ``text`` stands for: dict, list, str, int, float, bool or None.

    Args:
        text: JSON as text, or as bytes in UTF-8.
        name: what to call the text in errors, usually a file name.
        undecodable: let U+DC80 to U+DCFF through: bytes of a command line that are no UTF-8 (PEP 383).

    Raises:
        JsonError: the text is no JSON, or JSON that this module refuses (see above).
    """
    if len(text) > SIZE_LIMIT:
        raise JsonError("invalid JSON", where=name, why=f"larger than {SIZE_LIMIT // 2**20} MiB")
    if isinstance(text, bytes):
        text = _decoded(text, name)
    if text[:1] == "\ufeff":
        raise JsonError("invalid JSON", where=f"{name}:1:1", why="it begins with a byte order mark")
    start = len(text) - len(text.lstrip(_WHITESPACE))
    try:
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise _at(text, stop.value, "a value is missing", name) from None
    except RecursionError:
        raise JsonError("invalid JSON", where=name, why="nested too deeply") from None
    except JsonError as error:
        raise JsonError(error.what, where=name, why=error.why) from None
    except ValueError as error:
        raise _described(text, error, name) from None
    if text[end:].strip(_WHITESPACE):
        rest = len(text) - len(text[end:].lstrip(_WHITESPACE))
        raise _at(text, rest, "there is more text after the value", name)
    # Text from UTF-8 holds no surrogates, so they can only come from escapes (or from a caller's own str).
    if "\\ud" in text or "\\uD" in text or not _is_unicode(text):
        _refuse_surrogates(value, name, "surrogateescape" if undecodable else "strict")
    return value


def _scan(text: str, start: int) -> tuple[Any, int]:
    scan = make_scanner(_Context())
    try:
        found: tuple[Any, int] = scan(text, start)
        return found
    except SystemError:
        # The scanner raises json.decoder.JSONDecodeError, but looks for it only among the loaded modules: in
        # CPython 3.11 and 3.12 it otherwise returns without an exception, which is this SystemError.
        import json.decoder  # noqa: F401

        found = scan(text, start)
        return found


def dumps(value: Any, indent: int = 0) -> str:
    """JSON text of ``value`` (dict with string keys, list, tuple, str, int, float, bool, None), not ASCII-escaped.

    Args:
        value: what to write.
        indent: blanks per level; 0 puts all on one line without blanks.

    Raises:
        TypeError: something in ``value`` has no JSON form.
        ValueError: NaN, Infinity, or a value that contains itself.
    """
    if indent:
        return _indented(value, " " * indent, "\n")
    if make_encoder is None:
        import json

        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    encode = make_encoder({}, _no_json_form, encode_basestring, None, ":", ",", False, False, False)
    return "".join(encode(value, 0))


def _indented(value: Any, unit: str, newline: str) -> str:
    deeper = newline + unit
    if isinstance(value, dict) and value:
        items = (f"{encode_basestring(_key(key))}: {_indented(item, unit, deeper)}" for key, item in value.items())
        return "{" + deeper + ("," + deeper).join(items) + newline + "}"
    if isinstance(value, (list, tuple)) and value:
        return "[" + deeper + ("," + deeper).join(_indented(item, unit, deeper) for item in value) + newline + "]"
    return dumps(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be a string, not {type(key).__name__}")
    return key


def _no_json_form(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise JsonError("invalid JSON", why=f"number {text[:40]} is out of range")
    return number


def _no_constant(text: str) -> Any:
    raise JsonError("invalid JSON", why=f"{text} is not a JSON number")


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise JsonError("invalid JSON", where=f"{name}:{line}:{column}", why="not UTF-8") from None


def _is_unicode(text: str, errors: str = "strict") -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def _refuse_surrogates(value: Any, name: str, errors: str, path: str = "") -> None:
    if isinstance(value, str):
        if not _is_unicode(value, errors):
            where = f"{name}: {path}" if path else name
            raise JsonError("invalid JSON", where=where, why="a string has half of a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key, name, errors, path)
            _refuse_surrogates(item, name, errors, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_surrogates(item, name, errors, f"{path}[{index}]")


def _described(text: str, error: ValueError, name: str) -> JsonError:
    """Turn json's JSONDecodeError (message and offset), or int()'s refusal of thousands of digits, into ours."""
    position = getattr(error, "pos", None)
    if position is None:
        return JsonError("invalid JSON", where=name, why=str(error))
    message = str(getattr(error, "msg", error)).removesuffix(" at")
    return _at(text, position, message[:1].lower() + message[1:], name)


def _at(text: str, position: int, why: str, name: str) -> JsonError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return JsonError("invalid JSON", where=f"{name}:{line}:{column}", why=why)
