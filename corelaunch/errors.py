"""Every error that a caller or a user sees, and its one-line form.

The line is ``what: where: why`` and then a hint. Engines read these lines: docker maps "executable file not
found in $PATH" to exit code 127 and "permission denied" to 126, containerd swallows "container does not exist".
So the phrases of runc stand in the classes below and are tested; the rest of a message is ours.
"""

from __future__ import annotations

import errno as _errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class CorelaunchError(Exception):
    """Base of all errors of corelaunch.

    Attributes:
        what: what failed, in a few words.
        where: the JSON path, file, plugin or container it is about ("" when ``what`` says it).
        why: the reason ("" when ``what`` says it).
        hint: what to do about it ("" when there is nothing to say).
        step: the launch step that was under way, filled in by the lifecycle ("" outside a launch).
        plugin: the plugin that raised it, filled in by the lifecycle ("" for core).
        errno: the kernel's error number, 0 if the kernel did not refuse anything.
        exit_code: what the command line exits with.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        hint: str = "",
        step: str = "",
        plugin: str = "",
        errno: int = 0,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why or (os.strerror(errno).lower() if errno else "")
        self.hint = hint
        self.step = step
        self.plugin = plugin
        self.errno = errno

    def line(self) -> str:
        """The error as one line, without the hint; control characters are made visible."""
        text = ": ".join(part for part in (self.what, self.where, self.why) if part)
        return one_line(text)

    def __str__(self) -> str:
        return f"{self.line()} ({one_line(self.hint)})" if self.hint else self.line()


def one_line(text: str, limit: int = 4096) -> str:
    """Return ``text`` fit for one line of a log: control characters escaped, cut at ``limit`` characters.

    Text from a container or a hook may hold terminal escapes (CVE-2024-ish log injections), so nothing below
    U+0020 and none of the C1 controls goes through.
    """
    clean = "".join(c if c >= " " and not "\x7f" <= c <= "\x9f" else repr(c)[1:-1] for c in text.strip())
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


class UsageError(CorelaunchError):
    """The command line is wrong: unknown option, missing argument."""


class ConfigError(CorelaunchError):
    """config.json, process.json or a resources file is wrong; ``where`` is the JSON path or ``file:line:column``."""


class InvalidId(CorelaunchError):
    """A container id that is empty, ``.``, ``..`` or has a character outside ``[A-Za-z0-9_+.-]``."""

    def __init__(self, container_id: str) -> None:
        super().__init__("invalid container ID format", where=repr(container_id), hint="use letters, digits, _ + . -")


class ContainerExists(CorelaunchError):
    """The id is taken."""

    def __init__(self, container_id: str, hint: str = "") -> None:
        super().__init__("container with given ID already exists", where=container_id, hint=hint)


class ContainerNotFound(CorelaunchError):
    """There is no such container below this state root."""

    def __init__(self, container_id: str, why: str = "") -> None:
        super().__init__("container does not exist", where=container_id, why=why)


class WrongStatus(CorelaunchError):
    """The operation is not legal in the container's present status."""


class AlreadyExists(CorelaunchError):
    """Something of that name exists and is not ours; it is left alone."""


class Unsupported(CorelaunchError):
    """The backend does not claim this feature, or this host lacks what it needs."""


class PluginError(CorelaunchError):
    """A plugin is missing, broken, named twice, or did what its contract forbids."""


class KernelError(CorelaunchError):
    """The kernel refused an operation; ``errno`` and ``where`` (path or object) say which."""

    @classmethod
    def of(cls, what: str, error: OSError, *, where: str = "", hint: str = "") -> KernelError:
        """Wrap an OSError, keeping its errno and its path."""
        path = where or (os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "")
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        return cls(what, where=path, why=why, errno=error.errno or 0, hint=hint)


class ChildError(CorelaunchError):
    """The child reported an error of its own: stage, operation, path, errno and text came over the channel."""

    def __init__(
        self, what: str, *, stage: int = 0, operation: str = "", operation_index: int = -1, **rest: object
    ) -> None:
        super().__init__(what, **rest)  # type: ignore[arg-type]
        self.stage = stage
        self.operation = operation
        self.operation_index = operation_index


class ProtocolError(CorelaunchError):
    """The child said something that its plan does not allow here; it is killed."""


class HookError(CorelaunchError):
    """An OCI hook failed, could not be started, or ran into its deadline."""


class DeadlineExceeded(CorelaunchError):
    """A phase, hook or plugin took longer than it may."""


class StateError(CorelaunchError):
    """The journal or state.json cannot be read or is of a version that this release does not know."""


class TeardownError(CorelaunchError):
    """Several things failed on the way down; the first is in the line, all are in ``errors``."""

    def __init__(self, what: str, errors: Sequence[Exception], *, where: str = "", hint: str = "") -> None:
        why = "; ".join(str(e) for e in errors)
        super().__init__(what, where=where, why=why, hint=hint)
        self.errors = tuple(errors)


def is_gone(error: OSError | KernelError) -> bool:
    """True for the errnos that mean "already gone", which every undo treats as done."""
    return error.errno in (_errno.ENOENT, _errno.ESRCH, _errno.ENODEV)
