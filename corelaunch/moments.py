"""Tell lifecycle plugins of the moments of a container's life. Imported only when a container has such plugins."""

from __future__ import annotations

from .api import Moment
from .errors import CorelaunchError
from .hookspecs import MOMENTS, VETOES
from .plugins.lifecycle_hooks import observe_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from .api import LaunchStep
    from .plugins.registry import Registry
    from .state.ledger import Ledger


def observe(
    registry: Registry,
    container_id: str,
    ledger: Ledger,
    name: str,
    pid: int = 0,
    *,
    step: str = "",
    process: Mapping[str, Any] | None = None,
    error: str = "",
    exit_status: int = -1,
    steps: Sequence[LaunchStep] = (),
    plugins: Iterable[tuple[str, str]] | None = None,
) -> None:
    """Tell each plugin that the container was created with, in order.

    Args:
        step: the step under way; "": the last one of a create, or the one at which it failed.
        plugins: only these.

    Raises:
        CorelaunchError: a plugin vetoed (``hookspecs.VETOES``), or some failed (all were told).
        PluginError: one of the plugins is not installed any more; the error names its package.
    """
    begin = ledger.begin
    moment = Moment(
        name,
        container_id,
        begin.get("bundle", ""),
        step or ledger.step or ("" if ledger.status == "creating" else "end of sync"),
        MOMENTS[name],
        pid,
        dict(begin.get("annotations", {})),  # what the journal and the hooks have is not a plugin's to change
        process or {},
        error,
        exit_status,
        steps,
    )
    observe_all(registry, ledger.lifecycle if plugins is None else plugins, moment, up=name in VETOES)


def tell(
    registry: Registry, log: Callable[[str, str], None], container_id: str, ledger: Ledger, name: str, **more: Any
) -> None:
    """As :func:`observe`, for a moment at which nothing stops: failures are warnings in the log."""
    try:
        observe(registry, container_id, ledger, name, **more)
    except CorelaunchError as error:
        log("warning", str(error))
