"""Lifecycle plugins at a container's end: "stopped" before its things go, "deleted" after. Imported only for such.

The plugins are those that the container was created with. One that is gone, or broken, stops ``delete`` before anything
is done. ``delete --force`` does without it, and leaves the container's journal, in which it is owed the end: once it
is installed again, ``gc`` tells it and removes the rest.
"""

from __future__ import annotations

from . import teardown
from .errors import CorelaunchError, PluginError
from .moments import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .runtime import Runtime
    from .state.book import Book


def before(runtime: Runtime, container: Container, book: Book, *, force: bool) -> bool:
    """Make sure of the plugins and tell them "stopped".

    Returns:
        whether there is anything to be undone: False if all that was left was to tell, and that is done.

    Raises:
        PluginError: one is gone or broken, and ``force`` is not set; the error names its package.
    """
    if book.ledger.owed is not None:
        if after(runtime, book):
            teardown.remove_directory(book.directory)
        return False
    for name, made_by in book.ledger.lifecycle if not force else ():
        runtime.registry.lifecycle(name, made_by=made_by)
    init = container.handle()
    if force and init is not None:
        # Its cgroup and the rest follow; nobody is told that something has stopped which still runs.
        try:
            teardown.kill_process_handle(init)
        except CorelaunchError as error:
            runtime.log("warning", str(error))
    present, _ = _present(runtime, book)
    more = {"plugins": present, "exit_status": container.exit_status}
    tell(runtime.registry, runtime.log, book.container_id, book.ledger, "stopped", **more)
    return True


def after(runtime: Runtime, book: Book) -> bool:
    """Tell "deleted"; whether all could be told. Those that could not are written down."""
    present, missing = _present(runtime, book)
    for (name, _), error in missing:
        way_out = f"delete --force --forget-plugin lifecycle:{name} {book.container_id}"
        runtime.log("warning", f"{error}; the record of container {book.container_id} stays for gc, or for {way_out}")
    tell(runtime.registry, runtime.log, book.container_id, book.ledger, "deleted", plugins=present)
    if missing:
        book.record("owed", plugins=[list(plugin) for plugin, _ in missing])
    return not missing


def _present(
    runtime: Runtime, book: Book
) -> tuple[list[tuple[str, str]], list[tuple[tuple[str, str], PluginError]]]:
    """The plugins that are to be told and can be, and the others with the reason."""
    present, missing = [], []
    for name, made_by in book.ledger.untold:
        try:
            runtime.registry.lifecycle(name, made_by=made_by)
        except PluginError as error:
            missing.append(((name, made_by), error))
        else:
            present.append((name, made_by))
    return present, missing
