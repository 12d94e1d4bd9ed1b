"""``pause`` and ``resume``: stop every process of a container where it stands, and let all of them go on.

The freezer knows whether a container is paused, and nothing else does: what is written down is only what was asked of
it. A runtime that is killed while the kernel still stops processes leaves a cgroup that is on its way to frozen, or
gets there a moment later; so ``resume`` thaws whatever may be frozen, and goes by the journal where the freezer does
not say it.
"""

from __future__ import annotations

from .errors import CorelaunchError, Unsupported, WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backends import Placed
    from .container import Container
    from .runtime import Runtime
    from .state.book import Book


def pause(runtime: Runtime, container: Container) -> None:
    """Pause a container; see :meth:`Container.pause`."""
    book = container.open_book(exclusive=True)
    try:
        status = container.status
        if status not in ("created", "running"):
            raise WrongStatus("container not running", where=container.id, why=f"it is {status}")
        backend = _freezer(container, "pause")
        book.record("freezer", wanted="frozen")
        try:
            backend.manager.freeze(backend.placement)
        except CorelaunchError:
            _thaw(book, backend)
            raise
    finally:
        book.close()
    _tell(runtime, container, "paused")


def resume(runtime: Runtime, container: Container) -> None:
    """Resume a container; see :meth:`Container.resume`."""
    book = container.open_book(exclusive=True)
    try:
        status = container.status
        interrupted = status in ("created", "running") and _may_be_freezing(container, book)
        if status != "paused" and not interrupted:
            raise WrongStatus("container not paused", where=container.id, why=f"it is {status}")
        _thaw(book, _freezer(container, "resume"))
    finally:
        book.close()
    _tell(runtime, container, "resumed")


def _tell(runtime: Runtime, container: Container, moment: str) -> None:
    """Tell the lifecycle plugins, if there are any, of what has been done."""
    if container.ledger.begin.get("lifecycle"):
        from .moments import tell

        tell(runtime.registry, runtime.log, container.id, container.ledger, moment, pid=container.pid)


def _may_be_freezing(container: Container, book: Book) -> bool:
    """Whether a ``pause`` was killed before the cgroup came to a stop."""
    return book.ledger.frozen and container.freezing


def _thaw(book: Book, backend: Placed) -> None:
    """Thaw, then write it down: killed in between, the next ``resume`` finds nothing frozen, and says so."""
    backend.manager.thaw(backend.placement)
    book.record("freezer", wanted="thawed")


def _freezer(container: Container, verb: str) -> Placed:
    backend = container.cgroup()
    if backend is None:
        from .backends import NO_CGROUP

        raise Unsupported(f"cannot {verb} container", where=container.id, why="it has no cgroup", hint=NO_CGROUP)
    if "freeze" not in backend.manager.features:
        why = f"its cgroup manager {backend.name!r} does not claim 'freeze'"
        hint = "create it with another cgroup manager: corelaunch plugins shows what each claims"
        raise Unsupported(f"cannot {verb} container", where=container.id, why=why, hint=hint, plugin=backend.owner)
    return backend
