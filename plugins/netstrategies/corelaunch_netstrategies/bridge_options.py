"""Options of ``bridge`` that hang together: addresses and subnets, NAT and published ports."""

from __future__ import annotations

from .cidr import in_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corelaunch.api import ConfigError

    Wrong = Callable[[str, str, str], ConfigError]


def complete(checked: dict[str, Any], wrong: Wrong) -> None:
    """Check the options with each other, and fill in what ``subnet`` stands for.

    With a subnet the bridge has its first address, which is the container's gateway, unless these are given;
    ``allocate`` holds the subnets in which the container is given an address.

    Raises:
        ConfigError: ``wrong`` of the option, why, and what to do.
    """
    if checked["host-name"] == checked["bridge"]:
        raise wrong("host-name", f"{checked['bridge']!r} is the name of the bridge", "give it another name")
    checked["allocate"] = []
    for ipv6 in (False, True):
        _complete_family(checked, wrong, ipv6=ipv6)
    _check_addresses(checked, wrong)
    _check_nat(checked, wrong)


def _complete_family(checked: dict[str, Any], wrong: Wrong, *, ipv6: bool) -> None:
    def of_family(option: str) -> list[str]:
        return [value for value in checked[option] if (":" in value) == ipv6]

    subnets = of_family("subnet")
    if not subnets:
        return
    if len(subnets) > 1:
        raise wrong("subnet", f"more than one subnet of a family: {', '.join(subnets)}", "give one")
    (subnet,) = subnets
    given = of_family("bridge-address")
    for address in given:
        if not in_subnet(address.partition("/")[0], subnet) or address.partition("/")[2] != subnet.partition("/")[2]:
            raise wrong("bridge-address", f"{address} is not of subnet={subnet}", "leave one of them out")
    if not given:
        from .claimed_addresses import first_host

        given = [first_host(subnet)]
        checked["bridge-address"] = [*checked["bridge-address"], *given]
    if not of_family("gateway"):
        checked["gateway"] = [*checked["gateway"], given[0].partition("/")[0]]
    if not of_family("address"):
        checked["allocate"].append(subnet)


def _check_addresses(checked: dict[str, Any], wrong: Wrong) -> None:
    subnets = checked["bridge-address"]
    for address in checked["address"]:
        host = address.partition("/")[0]
        of_family = [subnet for subnet in subnets if (":" in subnet) == (":" in address)]
        if host in [subnet.partition("/")[0] for subnet in of_family]:
            raise wrong("address", f"{host} is the address of the bridge", "give the container another one")
        if of_family and not any(in_subnet(host, subnet) for subnet in of_family):
            why = f"{address} is not in the bridge's subnet: bridge-address={','.join(of_family)}"
            raise wrong("address", why, "choose one from there, or correct bridge-address=")


def _check_nat(checked: dict[str, Any], wrong: Wrong) -> None:
    if checked["nat"] and not checked["bridge-address"]:
        why = "what is to be masqueraded is the bridge's subnet, and it has none"
        raise wrong("nat", why, "give bridge-address= or subnet=")
    if not checked["publish"]:
        return
    if not checked["nat"]:
        raise wrong("publish", "only a bridge with NAT lets anybody in from outside", "add nat=true")
    if not checked["address"] and not checked["allocate"]:
        raise wrong("publish", "the container has no address to lead to", "give address= or subnet=")
