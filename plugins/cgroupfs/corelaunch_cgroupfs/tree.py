"""Walking and removing a cgroup with all that a container made inside it.

A container may nest cgroups until their path is longer than PATH_MAX, where every call by path fails. So the walk
goes step by step through directory descriptors: one down, one up, never more than two open.
"""

from __future__ import annotations

import os

from corelaunch.api import is_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def walk(path: str, leave: Callable[[str, int], None] | None = None) -> Iterator[int]:
    """Each directory from the bottom up, as a descriptor that is valid until the next one; nothing if it is gone.

    Args:
        path: the top.
        leave: called with name and parent descriptor when a child is done with.

    Raises:
        OSError: other than "already gone".
    """
    try:
        fd = os.open(path, _DIRECTORY)
    except OSError as error:
        if is_gone(error):
            return
        raise
    try:
        stack = [("", _children(fd))]
        while stack:
            name, children = stack[-1]
            if children:
                below = _open(children.pop(), fd)
                if below is not None:
                    os.close(fd)
                    fd = below[1]
                    stack.append((below[0], _children(fd)))
                continue
            yield fd
            stack.pop()
            if stack:
                above = os.open("..", _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = above
                if leave is not None:
                    leave(name, fd)
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Remove a cgroup and everything below it; already gone is success.

    Raises:
        OSError: EBUSY, there are processes in it.
    """
    try:
        os.rmdir(path)  # nearly always there is nothing below
        return
    except OSError as error:
        if is_gone(error):
            return
    for _ in walk(path, _rmdir):
        pass
    try:
        os.rmdir(path)
    except OSError as error:
        if not is_gone(error):
            raise


def _rmdir(name: str, parent: int) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if not is_gone(error):
            raise


def _open(name: str, parent: int) -> tuple[str, int] | None:
    try:
        return name, os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if is_gone(error):
            return None
        raise


def _children(fd: int) -> list[str]:
    """Names of the directories below; the kernel counts them in st_nlink, which spares most of the listings."""
    try:
        if os.fstat(fd).st_nlink == 2:
            return []
        with os.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if is_gone(error):
            return []
        raise
