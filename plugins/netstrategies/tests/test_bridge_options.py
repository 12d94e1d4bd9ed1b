"""place of bridge: its own options, and what of all options core finds in the placement."""

from __future__ import annotations

import pytest
from corelaunch_netstrategies import bridge
from corelaunch_netstrategies.bridge import Bridge, corelaunch_network_strategy
from corelaunch_netstrategies.cidr import in_subnet

from corelaunch.api import ConfigError, NetworkPlacement, NetworkRequest


def place(**options: str) -> NetworkPlacement:
    named = {option.replace("_", "-"): value for option, value in options.items()}
    return Bridge().place(NetworkRequest("clnet", 3, "bridge", named))


def test_the_hook_gives_a_strategy_and_the_module_says_which_api_it_is_for() -> None:
    assert isinstance(corelaunch_network_strategy(), Bridge)
    assert bridge.corelaunch_api == 1


def test_without_options_the_bridge_has_our_name_and_no_address() -> None:
    placement = place()
    assert (placement.shared_name, placement.container_name) == ("corelaunch0", "eth3")
    assert (placement.options["bridge-address"], placement.options["isolated"]) == ([], False)
    assert (placement.sysctl, placement.nameservers, placement.hosts) == ({}, [], [])


def test_what_core_does_is_not_among_the_options() -> None:
    placement = place(dns="FD00::53", search="a.example", dns_option="ndots:2", add_host="db:fd00::9", accept_ra="2")
    assert not {"dns", "search", "dns-option", "add-host", "accept-ra"} & set(placement.options)
    assert (placement.nameservers, placement.search) == (["fd00::53"], ["a.example"])
    assert (placement.resolver_options, placement.hosts) == (["ndots:2"], ["fd00::9 db"])
    assert placement.sysctl == {"net/ipv6/conf/eth3/accept_ra": "2"}


def test_an_address_in_any_of_the_bridges_subnets_is_taken() -> None:
    placement = place(bridge_address="10.0.0.1/24,10.0.1.1/24", address="10.0.1.2/24,fd00::2/64")
    assert placement.addresses == ["10.0.1.2/24", "fd00::2/64"]


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("bridge", "", "1 to 15 bytes"),
        ("bridge", "lo", "loopback"),
        ("bridge", "br%d", "is not an interface name"),
        ("bridge-address", "10.0.0.1", "the prefix length is missing"),
        ("bridge-address", "224.0.0.1/4", "not the address of an interface"),
        ("bridge-address", "255.255.255.255/32", "not the address of an interface"),
        ("bridge-address", "ff02::1/64", "not the address of an interface"),
        ("isolated", "1", "is not true or false"),
        ("accept-ra", "yes", "is not 0 (never)"),
        ("dns", "fe80::1%eth0", "is not an IP address"),
        ("search", "", "is not a domain name"),
        ("search", "-a", "is not a domain name"),
        ("search", "a..b", "is not a domain name"),
        ("search", "a" * 254, "is not a domain name"),
        ("dns-option", "", "is not an option of resolv.conf"),
        ("subnet", "10.0.0.1/24", "is an address in the subnet"),
        ("subnet", "10.0.0.0/31", "is not between 8 and 30"),
        ("subnet", "fd00::/127", "is not between 8 and 126"),
        ("subnet", "224.0.0.0/24", "not the address of an interface"),
        ("subnet", "10.0.0.0/24,10.1.0.0/24", "more than one subnet of a family"),
        ("nat", "yes", "is not true or false"),
        ("nat", "true", "what is to be masqueraded is the bridge's subnet"),
        ("publish", "8080", "is not HOSTPORT:PORT"),
        ("publish", "0:80", "is not HOSTPORT:PORT"),
        ("publish", "8080:65536", "is not HOSTPORT:PORT"),
        ("publish", "8080:80/sctp", "is not HOSTPORT:PORT"),
        ("publish", "8080:80", "only a bridge with NAT"),
        ("add-host", ":10.0.0.9", "is not a domain name"),
        ("add-host", "db:10.0.0.9/24", "without a prefix length"),
    ],
)
def test_a_malformed_value_is_refused_by_the_options_name(option: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(**{option: value})
    assert caught.value.where == f"networks[3].{option}"
    assert why in caught.value.why


def test_a_small_mtu_is_refused_for_an_ipv6_bridge() -> None:
    with pytest.raises(ConfigError, match=r"networks\[3\].mtu: fd00::1/64 needs an MTU of at least 1280"):
        place(mtu="576", bridge_address="fd00::1/64")


@pytest.mark.parametrize(
    ("host", "subnet", "inside"),
    [
        ("10.0.0.255", "10.0.0.1/24", True),
        ("10.0.1.0", "10.0.0.1/24", False),
        ("10.0.0.1", "10.0.0.1/32", True),
        ("1.2.3.4", "10.0.0.1/0", True),
        ("fd00::ffff:1", "fd00::1/64", True),
        ("fd00:0:0:1::1", "fd00::1/64", False),
    ],
)
def test_what_lies_in_a_subnet(host: str, subnet: str, inside: bool) -> None:
    assert in_subnet(host, subnet) is inside


def test_a_subnet_stands_for_the_bridges_address_the_gateway_and_an_address_of_the_container() -> None:
    options = place(subnet="10.0.0.0/24,fd00::/64", nat="true", publish="80:80,80:80/udp").options
    assert options["bridge-address"] == ["10.0.0.1/24", "fd00::1/64"]
    assert options["gateway"] == ["10.0.0.1", "fd00::1"]
    assert options["allocate"] == ["10.0.0.0/24", "fd00::/64"]
    assert options["publish"] == ["80:80/tcp", "80:80/udp"]


def test_what_is_given_beside_a_subnet_is_as_it_is_given() -> None:
    given = {"address": "10.0.0.7/24", "bridge_address": "10.0.0.9/24", "gateway": "10.0.0.8"}
    options = place(subnet="10.0.0.0/24,fd00::/64", **given).options
    assert options["bridge-address"] == ["10.0.0.9/24", "fd00::1/64"]
    assert options["gateway"] == ["10.0.0.8", "fd00::1"]
    assert (options["address"], options["allocate"]) == (["10.0.0.7/24"], ["fd00::/64"])


@pytest.mark.parametrize(
    ("options", "where", "why"),
    [
        ({"subnet": "10.0.0.0/24", "bridge_address": "10.0.1.1/24"}, "bridge-address", "is not of subnet="),
        ({"subnet": "10.0.0.0/24", "address": "10.0.1.2/24"}, "address", "is not in the bridge's subnet"),
        ({"subnet": "10.0.0.0/24", "address": "10.0.0.1/24"}, "address", "is the address of the bridge"),
        ({"bridge_address": "10.0.0.1/24", "nat": "true", "publish": "80:80"}, "publish", "no address to lead to"),
        ({"subnet": "10.0.0.0/24", "nat": "true", "publish": "80:80,80:81"}, "publish", "port 80/tcp of the host is"),
        ({"subnet": "fd00::/64", "mtu": "576"}, "mtu", "needs an MTU of at least 1280"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, str], where: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(**options)
    assert caught.value.where == f"networks[3].{where}"
    assert why in caught.value.why
