"""``delete --force --forget-plugin``: the last resort when a plugin is gone for good, or can never undo what it made.

Nothing comes here by itself. The container's processes are killed, by us, since the plugin is not asked; what it made
is named and left behind; the journal says that it is forgotten, so that ``delete`` and ``gc`` go on without it.
"""

from __future__ import annotations

import os
import time

from .api import ProcessHandle
from .deletion import open_to_delete
from .errors import CorelaunchError, DeadlineExceeded, PluginError
from .kernel import procfs
from .kernel.cgroup_events import freezing
from .spelling import nearest
from .teardown import KILL_SECONDS, directories, identity, kill_process, kill_process_handle, outliving

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .api import Effect
    from .container import Container
    from .state.book import Book
    from .state.ledger import Ledger


def forget(container: Container, plugins: Sequence[str]) -> list[str]:
    """Kill what is left of a container and drop what these plugins made for it; see :meth:`Container.forget`."""
    book = open_to_delete(container, force=True)
    if book is None:
        return []
    try:
        keys = [_key(book, word) for word in plugins]
        same_boot = procfs.is_this_boot(book.ledger.begin)
        if same_boot:
            _kill_in_cgroups(book.ledger, keys)  # first: it thaws those that are paused
            for process in reversed(book.ledger.processes):
                kill_process(process)
        left = list(_left_behind(book.ledger, keys, same_boot=same_boot))
        book.record("forgotten", plugins=keys)
    finally:
        book.close()
    return left


def _key(book: Book, word: str) -> str:
    """KIND:NAME of the plugin that a word means, which may leave the kind out."""
    ledger = book.ledger
    known = [f"{placed.kind}:{placed.name}" for placed in ledger.placements.values()]
    known += [f"lifecycle:{name}" for name, _ in ledger.untold]
    kind, colon, name = word.partition(":")
    key = f"{kind.replace('-', '_')}:{name}"
    found = {one for one in known if one == key or (not colon and one.partition(":")[2] == word)}
    if len(found) == 1:
        return found.pop()
    close = nearest(key if colon else word, known)
    raise PluginError(
        f"{'several plugins' if found else 'no plugin'} of container {book.container_id} called {word!r}",
        why=f"it has {', '.join(sorted(found or {*known})) or 'none'}",
        hint="say which" if found else f"did you mean {close}?" if close else "",
    )


def _left_behind(ledger: Ledger, keys: Sequence[str], *, same_boot: bool) -> Iterator[str]:
    for owner, placed in ledger.placements.items():
        if f"{placed.kind}:{placed.name}" in keys:
            effects = ledger.effects(owner)
            for effect in effects if same_boot else outliving(placed.kind, effects):
                if _may_be_there(effect):
                    yield f"left behind by {owner} ({placed.distribution}): {effect.kind} {effect.name}"
    for name, made_by in ledger.untold:
        if f"lifecycle:{name}" in keys:
            yield f"not told that container {ledger.begin['id']} is gone: lifecycle plugin {name!r} ({made_by})"


def _may_be_there(effect: Effect) -> bool:
    found = directories(effect)
    return not found or any((now := identity(path)) and now == (known or now) for path, known in found)


def _kill_in_cgroups(ledger: Ledger, keys: Sequence[str]) -> None:
    """Kill all that is in directories which the journal knows by device and inode to be this container's cgroup.

    Without a plugin to ask, a path alone is not enough: it may be a stranger's by now, or that of all processes.
    """
    ours = [
        path
        for owner, placed in ledger.placements.items()
        if placed.kind == "cgroup_manager" and f"{placed.kind}:{placed.name}" in keys
        for effect in ledger.effects(owner)
        for path, known in directories(effect)
        if effect.done and known and known == identity(path)
    ]
    deadline = time.monotonic() + KILL_SECONDS
    while pids := {pid for path in ours for pid in _pids(path)}:
        if time.monotonic() > deadline:
            raise DeadlineExceeded("processes of the container do not die", where=", ".join(map(str, sorted(pids))))
        for path in ours:
            _thaw(path)
        for pid in pids:
            kill_process_handle(ProcessHandle(pid, procfs.start_time(pid)))


def _pids(path: str) -> Iterator[int]:
    for directory, _, _ in os.walk(path):
        try:
            with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                yield from (int(line) for line in file if int(line))  # 0: of a pid namespace that we do not see
        except OSError:
            continue  # gone meanwhile; or a threaded one, whose processes are listed above it (cgroups(7))


def _thaw(path: str) -> None:
    """In a frozen v1 cgroup no process takes a SIGKILL."""
    if freezing({"freezer": path}):
        try:
            with open(f"{path}/freezer.state", "w", encoding="ascii") as file:
                file.write("THAWED")
        except FileNotFoundError:
            pass  # v2, where the frozen die
        except OSError as error:
            raise CorelaunchError("cannot thaw cgroup", where=path, why=str(error)) from error
