"""Help texts in runc's shape (NAME, USAGE, DESCRIPTION, OPTIONS), from the same tables as the parser."""

from __future__ import annotations

from .. import SPEC_VERSION, __version__
from .options import FLAG, LIST, NUMBER, Option, no_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .command import Command


def version(program: str) -> str:
    """What ``--version`` prints; containerd and docker parse its lines."""
    return f"{program} version {__version__}\nspec: {SPEC_VERSION}\n"


def overview(program: str, options: Sequence[Option], commands: Mapping[str, str]) -> str:
    """The help of the program itself."""
    width = max(map(len, commands))
    return (
        f"NAME:\n   {program} - OCI container runtime: a core and plugins\n\n"
        f"USAGE:\n   {program} [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n   {__version__}\nspec: {SPEC_VERSION}\n\n"
        "COMMANDS:\n"
        + "".join(f"   {name.ljust(width)}  {summary}\n" for name, summary in commands.items())
        + f"   {'help'.ljust(width)}  print this help, or the help of one command\n"
        + "\nGLOBAL OPTIONS:\n"
        + _options(options)
    )


def of_command(program: str, command: Command, summary: str) -> str:
    """The help of one command."""
    options = "[command options] " if command.options else ""
    text = (
        f"NAME:\n   {program} {command.name} - {summary}\n\n"
        f"USAGE:\n   {program} {command.name} {options}{command.arguments}\n\n"
        f"DESCRIPTION:\n{_indent(command.description.format(program=program))}\n"
    )
    return text + "\nOPTIONS:\n" + _options((*command.options, Option("help h", "print this help", FLAG)))


def _indent(text: str) -> str:
    return "\n".join(f"   {line}".rstrip() for line in text.strip().splitlines())


def _options(options: Sequence[Option]) -> str:
    rows = [(_names(option), option.help + default_of(option)) for option in options if option.shown]
    width = max(len(names) for names, _ in rows)
    return "".join(f"   {names.ljust(width)}  {text}\n" for names, text in rows)


def _names(option: Option) -> str:
    value = "" if option.kind is FLAG else f" {option.metavar}"
    return ", ".join(f"{'--' if len(name) > 1 else '-'}{name}{value}" for name in option.names.split(" "))


def default_of(option: Option) -> str:
    """What help says of an option's default: " (default: …)", "" if there is nothing to say."""
    if option.kind in (FLAG, LIST) or option.default is None:
        return ""
    value = no_value(option)
    return f" (default: {value})" if option.kind is NUMBER else f' (default: "{value}")'
