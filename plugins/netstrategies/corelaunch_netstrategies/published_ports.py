"""Ports of the host that lead to a container: an nftables table for each of them.

One table for one port, because the kernel lets one exist once: two containers that want the same port cannot both make
it, whichever runtimes they come from. All tables of a container are made in one transaction.
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import AlreadyExists, KernelError

from . import nft_expressions as nft
from .nat import delete
from .nftables import NAT_DESTINATION, NfTables, new_chain, new_rule, new_table
from .pair import home_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext

    from .nftables import Message

KIND = "publication"


def publish(ports: Sequence[str], addresses: Sequence[str], ctx: LaunchContext, owner: dict[str, Any]) -> None:
    """Let ports of the host lead to a container.

    Args:
        ports: ``"8080:80/tcp"``: port of the host, port of the container, tcp or udp.
        addresses: of the container, with or without prefix length; the first one of each family counts.
        owner: what else the effects say.

    Raises:
        AlreadyExists: a port leads to another container, or a process of the host listens on it.
        KernelError: the kernel refused.
    """
    hosts = [address.partition("/")[0] for address in addresses]
    targets = [first for ipv6 in (False, True) for first in [h for h in hosts if (":" in h) == ipv6][:1]]
    # Random, because the id of a container may come again; with the id, for whoever lists the tables.
    comment = f"corelaunch {ctx.container_id[:80]} {os.urandom(6).hex()}"
    with NfTables(ctx.deadline) as tables:
        steps, effects = [], []
        for port in ports:
            outer, inner, protocol = _split(port)
            _refuse_listener(outer, protocol)
            name = _table_name(outer, protocol)
            if tables.table(name) is not None:
                raise _taken(outer, protocol)
            effects.append(ctx.intend(KIND, name, absent=True, comment=comment, **home_of(tables), **owner))
            steps += [new_table(name, comment), *_rules(name, outer, inner, protocol, targets)]
        try:
            tables.commit("cannot publish a port", steps)
        except KernelError as error:
            if error.errno == errno.EEXIST:
                _prefix, _ports, protocol, outer_text = error.where.split("-")
                raise _taken(int(outer_text), protocol) from error
            raise
        for effect in effects:
            ctx.done(effect)


def withdraw(effects: Sequence[Effect], deadline: float) -> None:
    """Remove the tables of these effects that are ours; gone is fine."""
    with NfTables(deadline) as tables:
        for effect in effects:
            table = tables.table(effect.name)
            if table is not None and table.comment == effect.args["comment"]:
                delete(tables, table)


def _split(port: str) -> tuple[int, int, str]:
    numbers, _slash, protocol = port.partition("/")
    outer, _colon, inner = numbers.partition(":")
    return int(outer), int(inner), protocol


def _table_name(port: int, protocol: str) -> str:
    return f"corelaunch-port-{protocol}-{port}"


def _rules(table: str, outer: int, inner: int, protocol: str, targets: Sequence[str]) -> list[Message]:
    steps = [new_chain(table, hook, "nat", NAT_DESTINATION) for hook in ("prerouting", "output")]
    for target in targets:
        wanted = [*nft.family(":" in target), *nft.is_for_this_host(), *nft.port(protocol, outer)]
        steps.append(new_rule(table, "prerouting", *wanted, *nft.redirect(target, inner)))
        # The kernel routes nothing from a loopback address to another interface.
        wanted += nft.is_not_for_loopback(":" in target)
        steps.append(new_rule(table, "output", *wanted, *nft.redirect(target, inner)))
    return steps


def _refuse_listener(port: int, protocol: str) -> None:
    """Refuse a port on which a process of the host listens: it would get nothing any more.

    Raises:
        AlreadyExists: there is one.
    """
    import socket

    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if protocol == "tcp":
            # So that connections that have just ended do not count; a listener does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise KernelError.of("cannot publish a port", error, where=f"{port}/{protocol}") from error
            why = "a process of the host uses it"
            hint = f"ss -lnp sport = {port} names it; choose another port"
            raise AlreadyExists("cannot publish a port", where=f"{port}/{protocol}", why=why, hint=hint) from None


def _taken(port: int, protocol: str) -> AlreadyExists:
    why = "it leads to another container, or to this one already"
    hint = f"nft list table inet {_table_name(port, protocol)} names it; choose another port"
    return AlreadyExists("cannot publish a port", where=f"{port}/{protocol}", why=why, hint=hint)
