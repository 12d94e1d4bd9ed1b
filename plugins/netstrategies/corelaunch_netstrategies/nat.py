"""What a bridge with ``nat=true`` has besides: an nftables table, and IPv4 forwarding while there is such a bridge.

The table lives as long as the bridge. Its comment is derived from the bridge's MAC address, as the bridge's being ours
is, so any container's delete knows it again, and a table of that name with another comment is somebody else's.

That IPv4 forwarding was off, and was turned on for us, stands in a table without rules, ``corelaunch-forwarding``: the
kernel keeps it exactly as long as the setting, whoever comes and goes. The last bridge with NAT turns it off again.
IPv6 forwarding is not ours to turn on: a host that forwards IPv6 no longer heeds router advertisements, and forgets the
default route that it has from one at once (rt6_purge_dflt_routers() of net/ipv6/route.c).

All of this is under the lock of the bridges.
"""

from __future__ import annotations

import errno

from corelaunch.api import AlreadyExists, KernelError

from . import nft_expressions as nft
from .nftables import FILTER, NAT_SOURCE, NfTables, delete_table, new_chain, new_rule, new_table
from .pair import home_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import LaunchContext

    from .nftables import Message, Table

#: Name of a bridge's table, with the bridge's behind it.
PREFIX = "corelaunch-nat-"
FORWARDING = "corelaunch-forwarding"

_FORWARDING_COMMENT = "corelaunch turned net.ipv4.ip_forward on, it was off"
_IPV4_SWITCH = "/proc/sys/net/ipv4/ip_forward"
_IPV6_SWITCH = "/proc/sys/net/ipv6/conf/all/forwarding"
_OFF, _ON = "0", "1"


def check(addresses: Sequence[str]) -> None:
    """Refuse what cannot work, before anything is made.

    Raises:
        KernelError: the bridge has an IPv6 address, and the host does not forward IPv6.
    """
    if any(":" in address for address in addresses) and _read(_IPV6_SWITCH) == _OFF:
        why = "this host does not forward IPv6, and turning it on may cost it its own default route"
        hint = "sysctl -w net.ipv6.conf.all.forwarding=1, and accept_ra=2 on interfaces with router advertisements"
        raise KernelError("cannot give a bridge NAT", where="net.ipv6.conf.all.forwarding", why=why, hint=hint)


def ensure(bridge: str, mac: str, addresses: Sequence[str], ctx: LaunchContext, *, renew: bool) -> None:
    """Make the table of a bridge, if it is not there or ``renew`` is set; the caller holds the lock.

    Args:
        bridge: name of the bridge.
        mac: its MAC address as :func:`shared_bridge.our_mac` gives it.
        addresses: of the bridge, with prefix lengths; what comes from their subnets is masqueraded.
        renew: nobody uses the bridge, so the table may be one of a launch that was killed, with other addresses.

    Raises:
        AlreadyExists: a table of that name is somebody else's.
        KernelError: the kernel refused, or has no nftables.
    """
    name = PREFIX + bridge
    with NfTables(ctx.deadline) as tables:
        found = tables.table(name)
        _refuse_foreign(found, _comment(mac))
        if found is None or renew:
            _forward_ipv4(tables, bridge, mac, addresses, ctx)
        steps = [new_table(name, _comment(mac)), *_rules(name, bridge, addresses)]
        if found is None:
            effect = ctx.intend("table", name, absent=True, **_owner(tables, bridge, mac))
            tables.commit("cannot make NAT rules", steps)
            ctx.done(effect)
            for chain in tables.chains_that_drop_forwarded():
                # A verdict "accept" ends one chain, and "drop" all of them: no rule of ours can help here.
                ctx.log("warning", f"nftables chain {chain} drops what it does not accept: let {bridge} through there")
        elif renew:
            tables.commit("cannot make NAT rules", [delete_table(found), *steps])


def remove(bridge: str, mac: str, deadline: float) -> None:
    """Remove the table of a bridge that is gone, if it is ours, and turn forwarding off with the last one."""
    with NfTables(deadline) as tables:
        found = tables.table(PREFIX + bridge)
        if found is not None and found.comment == _comment(mac):
            delete(tables, found)
        marker = tables.table(FORWARDING)
        if marker is None or marker.comment != _FORWARDING_COMMENT:
            return
        if not any(table.name.startswith(PREFIX) for table in tables.tables()):
            # In this order: killed in between, the next delete finds the mark and nothing left to turn off.
            if _read(_IPV4_SWITCH) == _ON:
                _write(_IPV4_SWITCH, _OFF)
            delete(tables, marker)


def delete(tables: NfTables, table: Table) -> None:
    """Delete a table; gone is fine."""
    try:
        tables.commit("cannot delete nftables table", [delete_table(table)])
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise


def _rules(table: str, bridge: str, addresses: Sequence[str]) -> list[Message]:
    steps = [new_chain(table, "postrouting", "nat", NAT_SOURCE)]
    for address in addresses:
        outwards = [*nft.source_in(address), *nft.goes_to(bridge, unless=True)]
        steps.append(new_rule(table, "postrouting", *outwards, *nft.masquerade()))
        # A container that asks a published port of the host and is sent back onto its own bridge: without this the
        # answer would go straight to it, from an address that it has not asked.
        returning = [*nft.source_in(address), *nft.goes_to(bridge), *nft.was_redirected()]
        steps.append(new_rule(table, "postrouting", *returning, *nft.masquerade()))
    # A host that forwards is a way into the bridge for all its neighbours, other bridges included.
    steps.append(new_chain(table, "forward", "filter", FILTER))
    inwards = [*nft.goes_to(bridge), *nft.comes_from(bridge, unless=True)]
    steps.append(new_rule(table, "forward", *inwards, *nft.state(nft.ESTABLISHED | nft.RELATED), *nft.accept()))
    steps.append(new_rule(table, "forward", *inwards, *nft.was_redirected(), *nft.accept()))
    steps.append(new_rule(table, "forward", *inwards, *nft.drop()))
    return steps


def _forward_ipv4(tables: NfTables, bridge: str, mac: str, addresses: Sequence[str], ctx: LaunchContext) -> None:
    if all(":" in address for address in addresses) or _read(_IPV4_SWITCH) != _OFF:
        return
    marker = tables.table(FORWARDING)
    _refuse_foreign(marker, _FORWARDING_COMMENT)
    if marker is None:
        effect = ctx.intend("table", FORWARDING, absent=True, **_owner(tables, bridge, mac))
        tables.commit("cannot note that forwarding was off", [new_table(FORWARDING, _FORWARDING_COMMENT)])
        ctx.done(effect)
    ctx.log("info", f"net.ipv4.ip_forward is turned on, as long as there is a bridge with nat: {bridge}")
    _write(_IPV4_SWITCH, _ON)


def _owner(tables: NfTables, bridge: str, mac: str) -> dict[str, object]:
    """What an effect says of the bridge, for whoever destroys it."""
    return {"bridge": bridge, "bridge_mac": mac, "nat": True, **home_of(tables)}


def _comment(mac: str) -> str:
    return f"corelaunch {mac}"


def _refuse_foreign(table: Table | None, comment: str) -> None:
    if table is not None and table.comment != comment:
        why = f"its comment is {table.comment!r}, so it is not ours" if table.comment else "it is not ours"
        hint = f"nft list table inet {table.name} shows it"
        raise AlreadyExists("an nftables table of that name exists", where=table.name, why=why, hint=hint)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise KernelError.of("cannot read a parameter of the network", error, where=path) from error


def _write(path: str, value: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise KernelError.of("cannot set a parameter of the network", error, where=path) from error
