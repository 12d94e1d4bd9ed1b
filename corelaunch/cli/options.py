"""Options of a command line, in the style of Go's flag package, from tables.

Callers of OCI runtimes write ``--flag=value``, ``--flag value``, ``-flag`` (one dash, long name: go-runc) and repeat
flags (conmon-rs gives ``--root`` twice), so all of that parses. One table serves parser and help text.
"""

from __future__ import annotations

from ..errors import UsageError
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Kinds of options: present or not, a text (the last one wins), every text given, a number from 0.
FLAG = "flag"
VALUE = "value"
LIST = "list"
NUMBER = "number"

# What Go's strconv.ParseBool takes.
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Option(Record):
    """One option.

    ``names`` is the long name and, after a blank, a short one ("bundle b"); the value is found under the long one.
    """

    names: str
    help: str
    kind: str = VALUE
    default: Any = None
    #: Word for the value in the help text.
    metavar: str = "value"
    #: Works, and is shown in no help.
    hidden: bool = False

    @property
    def shown(self) -> bool:
        """Whether help, manual and completion tell of it."""
        return not self.hidden

    @property
    def name(self) -> str:
        """The long name."""
        return self.names.split(" ", 1)[0]


def no_value(option: Option) -> Any:
    """What an option is when it is not given."""
    if option.default is not None:
        return option.default
    return {FLAG: False, VALUE: "", LIST: (), NUMBER: 0}[option.kind]


def parse(
    options: Sequence[Option], words: Sequence[str], *, mixed: bool = True
) -> tuple[dict[str, Any], list[str], frozenset[str]]:
    """Split a command line into options and arguments.

    Args:
        options: the table.
        words: the command line without the program (or verb).
        mixed: options may follow arguments; False stops at the first argument (global options, ``exec``).

    Returns:
        Every option's value by long name, the arguments, and the long names of the options that were given.

    Raises:
        UsageError: unknown option, missing or malformed value.
    """
    table = {name: option for option in options for name in option.names.split(" ")}
    values = {option.name: no_value(option) for option in options}
    given = set()
    arguments: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if len(word) < 2 or word[0] != "-":
            arguments.append(word)
            if mixed:
                continue
            break
        if word == "--":
            break
        name, equals, text = word[2 if word[1] == "-" else 1 :].partition("=")
        option = table.get(name)
        if option is None:
            raise UsageError("flag provided but not defined", where="-" + name)
        if not equals:
            if option.kind is FLAG:
                text = "true"
            elif position < len(words):
                text = words[position]
                position += 1
            else:
                raise UsageError("flag needs an argument", where="-" + name)
        given.add(option.name)
        value = _value(option, name, text)
        values[option.name] = (*values[option.name], value) if option.kind is LIST else value
    arguments += words[position:]
    return values, arguments, frozenset(given)


def _value(option: Option, name: str, text: str) -> Any:
    if option.kind is FLAG:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise UsageError(f'invalid boolean value "{text}" for flag -{name}', why="use true or false")
    if option.kind is NUMBER:
        if text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        raise UsageError(f'invalid value "{text}" for flag -{name}', why="it takes a number from 0")
    return text
