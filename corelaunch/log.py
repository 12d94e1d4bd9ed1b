"""The runtime's log: ``--log FILE``, ``--log-format text|json``, ``--debug``.

Engines read two things when a command failed. containerd and docker show the last line of level ``error`` in the
log; podman parses the whole file as one JSON object. conmon shows what stands on stderr (at most 8191 bytes of it).
So a failure is exactly one line of the log and the same text on stderr, and nothing else goes to either, unless
``--debug`` asks for more:

========================  ======================================  ===============================================
..                        with ``--log FILE``                      without
========================  ======================================  ===============================================
the failure               a line in FILE, plain text on stderr    text: ``corelaunch: …`` on stderr; json: a line
warnings (``--debug``)    at once in FILE                          at once on stderr
warnings (otherwise)      in FILE, only if the command succeeds   on stderr, only if it succeeds, and is a terminal
                                                                  or lifecycle plugins took part
info, debug lines         in FILE, only with ``--debug``           on stderr, only with ``--debug``
========================  ======================================  ===============================================

The two formats are those of logrus, which is what the engines parse.
"""

from __future__ import annotations

import os
import sys
import time

from .errors import UsageError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ("debug", "info", "warning", "error")

#: Imported by commands whose container has lifecycle plugins. The operator has named them: what befell one is told to
#: him, also in a pipe, where engines that give no log file would read the warnings of ordinary containers as output.
_LIFECYCLE = "corelaunch.moments"


class Log:
    """The log of one command.

    Args:
        path: file that lines are appended to (created 0644), "" for stderr.
        form: "text" or "json".
        debug: write every level at once.
        program: name in front of a plain error text on stderr.

    Raises:
        UsageError: ``form`` is neither, or the file cannot be opened.
    """

    def __init__(self, path: str = "", form: str = "text", *, debug: bool = False, program: str = "corelaunch") -> None:
        if form not in ("text", "json"):
            raise UsageError("invalid log-format", where=form, hint="use text or json")
        self.path = path
        self.debug = debug
        self.program = program
        self._render: Callable[[str, str], str] = _json_line if form == "json" else _text_line
        self._json = form == "json"
        self._warnings: list[str] = []
        self._fd = 2
        if path:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
            except OSError as error:
                raise UsageError(
                    "cannot open the log file", where=path, why=os.strerror(error.errno or 0).lower()
                ) from None

    def write(self, level: str, message: str) -> None:
        """Log one message; below ``error`` only as the table above says. Errors go through :meth:`failure`."""
        text = one_line(message)
        if self.debug:
            self._put(self._render(level, text))
        elif level == "warning" and text not in self._warnings:
            # Once: a command that goes on for days (events, top) has the same to say each second.
            self._warnings.append(text)

    def failure(self, message: str) -> None:
        """Say that the command failed: one line in the log, the same text on stderr."""
        text = one_line(message)
        self._warnings.clear()
        if self.path or self._json or self.debug:
            self._put(self._render("error", text))
        if self.path:
            put(2, text + "\n")
        elif not self._json and not self.debug:
            put(2, f"{self.program}: {text}\n")

    def last_line(self) -> tuple[int, bool, str | None]:
        """How :meth:`failure` writes, for who must do it without us.

        Returns:
            descriptor of the log (-1: no line there), whether its format is JSON, and what stands in front of the plain
            text on stderr (None: nothing is written there).
        """
        logs = bool(self.path) or self._json or self.debug
        prefix = "" if self.path else None if logs else f"{self.program}: "
        return self._fd if logs else -1, self._json, prefix

    def notice(self, message: str) -> None:
        """Tell the user of something that is no failure of the command, on stderr (``list``: a broken container)."""
        put(2, one_line(message) + "\n")

    def success(self) -> None:
        """Say that the command succeeded: warnings that were held back may be written now."""
        if self.path or (self._warnings and (os.isatty(2) or _LIFECYCLE in sys.modules)):
            for text in self._warnings:
                self._put(self._render("warning", text))
        self._warnings.clear()

    def _put(self, line: str) -> None:
        put(self._fd, line + "\n")


def put(fd: int, text: str) -> None:
    """Write text to a descriptor in UTF-8, completely. A reader that went away ends it: nobody is left to tell.

    Bytes of a command line that were not UTF-8 come out as ``\\udcXX``, so that a log line stays valid UTF-8.
    """
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        return


def _json_line(level: str, text: str) -> str:
    from .jsontext import dumps

    return dumps({"level": level, "msg": text, "time": _now()})


def _text_line(level: str, text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'time="{_now()}" level={level} msg="{quoted}"'


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
