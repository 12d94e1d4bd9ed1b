"""Whether what was made for a container that runs is still as it was made: each network's strategy is asked."""

from __future__ import annotations

from .backends import recall
from .errors import CorelaunchError, Unsupported, WrongStatus
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .runtime import Runtime

OK, FAILED, NOT_CHECKED = "ok", "failed", "not checked"


class Finding(Record):
    """What became of the check of one interface."""

    #: Its name inside the container.
    interface: str
    #: The strategy that gave it.
    type: str
    #: OK, FAILED or NOT_CHECKED.
    result: str
    #: What is wrong, or why it was not checked; "" if all is well.
    reason: str = ""


def check_networks(runtime: Runtime, container: Container) -> list[Finding]:
    """Ask the strategy of each network of a container; nothing is changed. [] if it has none.

    No other operation of the container is under way meanwhile: a plugin may rely on that (CNI specification, "CHECK").

    Raises:
        WrongStatus: it has no process.
        ContainerNotFound, DeadlineExceeded: it was deleted meanwhile, or somebody else works on it.
    """
    book = container.open_book(exclusive=True)
    try:
        process, status = container.handle(), container.status
        if process is None or status not in ("created", "running", "paused"):
            raise WrongStatus("container not running", where=container.id, why=f"it is {status}")
        findings = []
        for placed in book.ledger.placements.values():
            if placed.kind != "network_strategy":
                continue
            result, reason = OK, ""
            try:
                backend = recall(placed, runtime.registry)
                if "check" not in backend.manager.features:
                    result, reason = NOT_CHECKED, f"{placed.name} cannot check"
                else:
                    backend.manager.check(backend.placement, book.ledger.effects(placed.owner), process)
            except Unsupported as error:
                result, reason = NOT_CHECKED, str(error)
            except CorelaunchError as error:
                result, reason = FAILED, str(error)
            findings.append(Finding(placed.fields["container_name"], placed.name, result, reason))
        return findings
    finally:
        book.close()
