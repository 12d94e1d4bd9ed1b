"""``gc --network``: a network loses what no container below the state root has; its strategy does that."""

from __future__ import annotations

from .api import NetworkPlacement, NetworkRequest
from .errors import StateError, Unsupported
from .networks import parse_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import Effect
    from .runtime import Runtime


def collect(runtime: Runtime, text: str) -> None:
    """Collect the garbage of one network.

    What other runtimes, or other state roots, have on that network is garbage by this measure: so it is done for an
    operator who asks for it, and never by itself.

    Args:
        text: which network, in the form of ``--network``.

    Raises:
        ConfigError: the text is none.
        Unsupported: the strategy, or this network, knows no garbage collection.
        StateError: a container cannot be read, so that nobody knows what it has.
        PluginError: the strategy is not installed, or failed.
    """
    network = parse_network(text)
    kind = network["type"]
    strategy = runtime.registry.load("network_strategy", kind)
    if "gc" not in strategy.features:
        raise Unsupported("cannot collect a network's garbage", where=text, why=f"{kind} does not claim 'gc'")
    strategy.collect(NetworkRequest("", 0, kind, network["options"]), lambda: _living(runtime, kind))


def _living(runtime: Runtime, kind: str) -> list[tuple[NetworkPlacement, list[Effect]]]:
    containers, broken = runtime.containers()
    unknown = [container.id for container in containers if container.ledger.damaged]
    unknown += [container_id for container_id, _ in broken]
    if unknown:
        why, hint = "its state is damaged, and what it has is not known", f"corelaunch delete --force {unknown[0]}"
        raise StateError("cannot collect a network's garbage", where=f"container {unknown[0]}", why=why, hint=hint)
    return [
        (NetworkPlacement(**placed.fields), container.ledger.effects(owner))
        for container in containers
        for owner, placed in container.ledger.placements.items()
        if (placed.kind, placed.name) == ("network_strategy", kind)
    ]
