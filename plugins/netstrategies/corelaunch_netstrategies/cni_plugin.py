"""One call of a CNI plugin: its environment, its configuration on standard input, its result or error as JSON.

The protocol is that of the CNI specification, "Section 2: Execution protocol" and "Section 5: Result types".
"""

from __future__ import annotations

import os

from corelaunch.api import ConfigError, PluginError, Record, dumps, loads

from . import programs
from .cni_list import VERSIONS
from .trusted_programs import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .programs import Finished

_PACKAGE = "containernetworking-plugins"
_LONGEST_DETAILS = 600


class Attachment(Record):
    """What of the environment is the same for every plugin of a list: CNI_CONTAINERID and the rest."""

    container: str
    #: A path that leads to the container's network namespace, "" when that is gone.
    namespace: str
    interface: str
    #: ``KEY=VALUE;…``
    arguments: str = ""
    #: CNI_PATH.
    directories: Sequence[str] = ()


class Plugin:
    """A plugin that can be called.

    Raises:
        ConfigError: it is not there, or somebody else could have written it.
    """

    def __init__(self, kind: str, directories: Sequence[str]) -> None:
        self.kind = kind
        self.directories = directories
        for directory in directories:
            if not os.path.isabs(directory):
                raise ConfigError("invalid directory of CNI plugins", where=directory, why="it is not an absolute path")
        self.path = find(kind, directories, _PACKAGE)

    def versions(self, deadline: float) -> list[str]:
        """Versions of the protocol that it speaks.

        Raises:
            PluginError, DeadlineExceeded: it does not say.
        """
        environment = {"CNI_COMMAND": "VERSION", "CNI_PATH": ":".join(self.directories)}
        finished = self._run(environment, {"cniVersion": VERSIONS[-1]}, deadline)
        answer = self._answer("VERSION", finished)
        spoken = answer.get("supportedVersions") if answer else None
        if not isinstance(spoken, list):
            raise self._failed("VERSION", "it names no supportedVersions", finished)
        return [version for version in spoken if isinstance(version, str)]

    def call(
        self,
        command: str,
        attachment: Attachment | None,
        configuration: Mapping[str, Any],
        deadline: float,
        announce: Callable[[int, int], object] | None = None,
    ) -> dict[str, Any] | None:
        """ADD, DEL, CHECK, GC or STATUS; what it printed, None if that is nothing.

        Args:
            attachment: of ADD, DEL and CHECK.
            announce: called with pid and start time of the plugin before it has its configuration.

        Raises:
            PluginError: it failed, or printed what is no result.
            DeadlineExceeded: it took too long, and was killed.
        """
        environment = {"CNI_COMMAND": command, "CNI_PATH": ":".join(self.directories)}
        if attachment is not None:
            environment |= {
                "CNI_CONTAINERID": attachment.container,
                "CNI_NETNS": attachment.namespace,
                "CNI_IFNAME": attachment.interface,
                "CNI_ARGS": attachment.arguments,
            }
        finished = self._run(environment, configuration, deadline, announce)
        answer = self._answer(command, finished)
        if command == "ADD" and answer is None:
            raise self._failed(command, "it printed no result", finished)
        return answer

    def _run(
        self,
        environment: Mapping[str, str],
        configuration: Mapping[str, Any],
        deadline: float,
        announce: Callable[[int, int], object] | None = None,
    ) -> Finished:
        text = dumps(configuration).encode()
        return programs.run(self.path, [self.path], environment, text, deadline, announce)

    def _answer(self, command: str, finished: Finished) -> dict[str, Any] | None:
        """What it printed, None if that is nothing.

        Raises:
            PluginError: an error, whatever its exit status, or no JSON object.
        """
        text = finished.output.strip()
        answer: Any = None
        if text:
            try:
                answer = loads(text.decode())
            except ValueError as error:
                if finished.status == 0:
                    raise self._failed(command, f"it printed what is no JSON: {error}", finished) from None
        if isinstance(answer, dict) and answer.get("code"):
            raise self._failed(command, _said_in(answer), finished)
        if finished.status != 0:
            how = f"exit status {finished.status}" if finished.status < 128 else f"signal {finished.status - 128}"
            raise self._failed(command, how if finished.status >= 0 else "nobody can tell how", finished)
        if answer is not None and not isinstance(answer, dict):
            raise self._failed(command, "it printed what is no JSON object", finished)
        return answer

    def _failed(self, command: str, why: str, finished: Finished) -> PluginError:
        return PluginError(f"CNI plugin {self.kind} failed", where=command, why=f"{why}{finished.said}")


def _said_in(error: Mapping[str, Any]) -> str:
    """An error of "Section 5: Error" in one line."""
    details = str(error.get("details") or "")[:_LONGEST_DETAILS]
    message = str(error.get("msg") or "no message")[:_LONGEST_DETAILS]
    return ": ".join(part for part in (message, details) if part) + f" (code {error['code']})"
