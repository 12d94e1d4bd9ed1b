"""Tell lifecycle plugins of the moments of a container's life. Imported only when a container has such plugins."""

from __future__ import annotations

from .api import Moment
from .hookspecs import MOMENTS
from .plugins.manager import observe_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plugins.registry import Registry
    from .state.book import Book

#: From here on nothing can be vetoed any more: every plugin is told, and failures are collected.
_DOWN = ("started", "stopped", "deleted")
_STATUS = dict(zip(MOMENTS, ("creating", "created", "created", "running", "stopped", "stopped")))


def observe(registry: Registry, plugins: Sequence[str], name: str, book: Book, pid: int) -> None:
    """Tell each plugin, in order.

    Raises:
        CorelaunchError: a plugin vetoed (up to "starting"), or some failed (after it: all were told).
        PluginError: one of the plugins is not installed any more; the error names its package.
    """
    begin = book.ledger.begin
    moment = Moment(
        name,
        book.container_id,
        begin.get("bundle", ""),
        book.ledger.step or ("" if book.ledger.status == "creating" else "end of sync"),
        _STATUS[name],
        pid,
        begin.get("annotations", {}),
    )
    observe_all(registry, plugins, moment, up=name not in _DOWN)
