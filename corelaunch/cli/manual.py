"""Manual pages (man(7)) from the same tables as the parser and the help text; made when the package is built."""

from __future__ import annotations

from .. import __version__
from .help import default_of
from .options import FLAG, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .command import Command

PROGRAM = "corelaunch"
SECTION, OVERVIEW_SECTION = 1, 8

_ABOUT = """{program} launches Linux containers from OCI bundles: a directory with a config.json and a root filesystem.
Its command line is runc's, so that podman, containerd and docker can use it. How cgroups are made, how Intel RDT is
set and how interfaces appear is the business of plugins, which are Python packages beside it."""

_FILES = (
    ("/etc/corelaunch/config.toml", "the operator's config file: which plugins run, what annotations may ask for"),
    ("/run/corelaunch", "state of the containers; for an ordinary user $XDG_RUNTIME_DIR/corelaunch"),
)

_ENVIRONMENT = (
    ("XDG_RUNTIME_DIR", "for an ordinary user: where the state is"),
    ("CORELAUNCH_TRACE_PLUGINS", "1: tell stderr of each call of a plugin, with its time"),
    ("NO_COLOR, TERM", "not empty, dumb: no colours on a terminal"),
    ("LC_ALL, LC_CTYPE, LANG", "the encoding of the first that is set: trace draws with Unicode where it is UTF-8"),
    ("NOTIFY_SOCKET, LISTEN_FDS, LISTEN_PID", "as sd_notify(3) and sd_listen_fds(3) say"),
)


def overview(global_options: Sequence[Option], commands: Mapping[str, str]) -> str:
    """The page of the program."""
    return _page(
        PROGRAM,
        OVERVIEW_SECTION,
        "OCI container runtime: a core and plugins",
        [
            ("SYNOPSIS", f"{_bold(PROGRAM)} [global options] {_italic('command')} [command options] [arguments]\n"),
            ("DESCRIPTION", _text(_ABOUT.format(program=PROGRAM))),
            ("COMMANDS", _terms((f"{PROGRAM}-{name}({SECTION})", summary) for name, summary in commands.items())),
            ("GLOBAL OPTIONS", _options(global_options)),
            ("EXIT STATUS", _text("0 on success, 1 on failure, 3 if there is no such command.")),
            ("FILES", _terms(_FILES)),
            ("ENVIRONMENT", _terms(_ENVIRONMENT)),
            ("SEE ALSO", _see(f"{PROGRAM}-{name}({SECTION})" for name in commands)),
        ],
    )


def of_command(command: Command, summary: str) -> str:
    """The page of one command."""
    options = "[command options] " if command.options else ""
    call = f"{_bold(PROGRAM)} [global options] {_bold(command.name)} {_escape(options + command.arguments)}".rstrip()
    status = f"0 on success, {command.failure} on failure."
    if command.name in ("run", "exec"):
        status = f"That of the process, 128 and the number of a signal that ended it, or {command.failure} on failure."
    elif command.name == "trace":
        status = f"That of the verb; with --read 0 on success, {command.failure} on failure."
    return _page(
        f"{PROGRAM}-{command.name}",
        SECTION,
        summary,
        [
            ("SYNOPSIS", f"{call}\n"),
            ("DESCRIPTION", _text(command.description.format(program=PROGRAM))),
            ("OPTIONS", _options((*command.options, Option("help h", "print this help", FLAG)))),
            ("EXIT STATUS", _text(status)),
            ("SEE ALSO", _see([f"{PROGRAM}({OVERVIEW_SECTION})"])),
        ],
    )


def _page(name: str, section: int, summary: str, parts: Iterable[tuple[str, str]]) -> str:
    # No date: the same source must give the same page.
    head = f'.TH {name.upper()} {section} "" "{PROGRAM} {__version__}"\n'
    text = f"{head}.SH NAME\n{_escape(name)} \\- {_escape(summary)}\n"
    return text + "".join(f".SH {title}\n{body}" for title, body in parts)


def _options(options: Iterable[Option]) -> str:
    return "".join(
        f".TP\n{_names(option)}\n{_text(option.help + default_of(option))}" for option in options if option.shown
    )


def _names(option: Option) -> str:
    value = "" if option.kind is FLAG else f" {_italic(option.metavar)}"
    return ", ".join(_bold(("--" if len(name) > 1 else "-") + name) + value for name in option.names.split(" "))


def _terms(terms: Iterable[tuple[str, str]]) -> str:
    return "".join(f".TP\n{_bold(term)}\n{_text(text)}" for term, text in terms)


def _see(names: Iterable[str]) -> str:
    return ",\n".join(_bold(name) for name in names) + "\n"


def _text(text: str) -> str:
    """Running text; an empty line begins a paragraph."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    return ".PP\n".join(f"{_escape(paragraph)}\n" for paragraph in paragraphs)


def _bold(text: str) -> str:
    return f"\\fB{_escape(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_escape(text)}\\fR"


def _escape(text: str) -> str:
    """Text as roff takes it: its own escapes, hyphens that stay ASCII, no request at the beginning of a line."""
    clean = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{clean}" if clean[:1] in (".", "'") else clean
