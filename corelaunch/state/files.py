"""Files of a container in its state directory, beside journal and state.json: they go with the directory."""

from __future__ import annotations

import os

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def write(directory: str, files: Mapping[str, str], mode: int) -> None:
    """Write new files into a state directory.

    Args:
        files: name -> text.
        mode: whatever the caller's umask: a container's users read what is bound into it.

    Raises:
        KernelError: the file system is full.
    """
    for name, text in files.items():
        path = os.path.join(directory, name)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with open(fd, "w", encoding="utf-8") as file:
                os.fchmod(fd, mode)
                file.write(text)
        except OSError as error:
            raise KernelError.of("cannot write a file of the container", error, where=path) from error
