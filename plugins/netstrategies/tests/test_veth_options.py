"""place of veth: strict options in, canonical JSON out, nothing touched."""

from __future__ import annotations

import json

import pytest
from corelaunch_netstrategies.veth import Veth, corelaunch_network_strategy
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.api import ConfigError, NetworkPlacement, NetworkRequest


def place(index: int = 0, container_id: str = "clnet", **options: str) -> NetworkPlacement:
    named = {option.replace("_", "-"): value for option, value in options.items()}
    return Veth().place(NetworkRequest(container_id, index, "veth", named))


def test_the_hook_gives_a_strategy_and_the_module_says_which_api_it_is_for() -> None:
    from corelaunch_netstrategies import veth

    assert isinstance(corelaunch_network_strategy(), Veth)
    assert veth.corelaunch_api == 1
    assert corelaunch_network_strategy.corelaunch_impl["specname"] is None  # type: ignore[attr-defined]


def test_without_options_names_come_from_container_and_index() -> None:
    first, second = place(), place(index=1)
    assert (first.container_name, second.container_name) == ("eth0", "eth1")
    assert first.host_name.startswith("cl") and len(first.host_name) == 15
    assert first.host_name != second.host_name


def test_names_are_as_asked() -> None:
    placement = place(name="web0", host_name="clnetweb")
    assert (placement.container_name, placement.host_name) == ("web0", "clnetweb")


def test_options_come_out_in_their_canonical_form() -> None:
    options = place(
        address="10.0.0.2/24, FD00::0:2/64",
        gateway="10.0.0.1,fd00::0001",
        route="10.1.0.0/16 via 10.0.0.7,10.2.0.0/16",
        mtu="1400",
        mac="02:AA:bb:00:00:01",
        host_address="10.0.0.1/24",
    ).options
    assert options["address"] == ["10.0.0.2/24", "fd00::2/64"]
    assert options["gateway"] == ["10.0.0.1", "fd00::1"]
    assert options["route"] == ["10.1.0.0/16 via 10.0.0.7", "10.2.0.0/16"]
    assert (options["mtu"], options["mac"]) == (1400, "02:aa:bb:00:00:01")
    assert options["host-address"] == ["10.0.0.1/24"]


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("name", "", "1 to 15 bytes"),
        ("name", "a" * 16, "1 to 15 bytes"),
        ("name", "é" * 8, "1 to 15 bytes"),
        ("name", "..", "is not an interface name"),
        ("name", "a/b", "is not an interface name"),
        ("name", "a b", "is not an interface name"),
        ("name", "a\x1b", "is not an interface name"),
        ("name", "eth%d", "is not an interface name"),
        ("name", "lo", "loopback"),
        ("name", "default", "is not an interface name"),
        ("name", "à", "is not an interface name"),
        ("host-name", "a:b", "is not an interface name"),
        ("address", "10.0.0.2", "the prefix length is missing"),
        ("address", "10.0.0.2/33", "is not between 0 and 32"),
        ("address", "10.0.0.2/-1", "is not between 0 and 32"),
        ("address", "10.0.0.2/²", "is not between 0 and 32"),
        ("address", "10.0.0/24", "is not an IP address"),
        ("address", "fd00::2/129", "is not between 0 and 128"),
        ("address", "0.0.0.0/0", "not the address of an interface"),
        ("address", "10.0.0.2/24,,10.0.0.3/24", "is not an IP address"),
        ("address", "fd00::2/64,fd00::0:2/64", "fd00::2/64 is there twice"),
        ("gateway", "10.0.0.1/24", "without a prefix length"),
        ("gateway", "10.0.0.1,10.0.0.2", "more than one IPv4 gateway"),
        ("gateway", "fd00::1,fd00::2", "more than one IPv6 gateway"),
        ("route", "10.1.0.0/16 via fd00::1", "different address families"),
        ("route", "10.1.0.0/16 via", "is not between 0 and 32"),
        ("route", "via 10.0.0.1", "is not an IP address"),
        ("mtu", "67", "is not between 68 and 65535"),
        ("mtu", "65536", "is not between 68 and 65535"),
        ("mtu", "15OO", "is not between 68 and 65535"),
        ("mac", "02:00:00:00:00", "six pairs"),
        ("mac", "02-00-00-00-00-01", "six pairs"),
        ("mac", "01:00:00:00:00:01", "group address"),
        ("mac", "00:00:00:00:00:00", "all zeros"),
    ],
)
def test_a_malformed_value_is_refused_by_the_options_name(option: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(3, **{option: value})
    assert caught.value.where == f"networks[3].{option}"
    assert why in caught.value.why


def test_a_small_mtu_is_refused_only_with_ipv6() -> None:
    assert place(mtu="576", address="10.0.0.2/24").options["mtu"] == 576
    with pytest.raises(ConfigError, match=r"networks\[0\].mtu: fd00::2/64 needs an MTU of at least 1280"):
        place(mtu="576", address="fd00::2/64")


@pytest.mark.parametrize(
    ("option", "hint"), [("adress", "did you mean 'address'?"), ("hostname", "did you mean 'host-name'?")]
)
def test_an_unknown_option_gets_the_nearest_known_one_as_hint(option: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(**{option: "x"})
    assert (caught.value.where, caught.value.hint) == (f"networks[0].{option}", hint)


def test_an_unknown_option_like_no_other_gets_the_list() -> None:
    with pytest.raises(ConfigError) as caught:
        place(bandwidth="1")
    assert caught.value.hint.startswith("veth knows name, address, gateway")


@given(
    st.dictionaries(st.sampled_from(["name", "address", "route", "gateway", "mtu", "mac", "x"]), st.text(), max_size=3)
)
def test_any_text_is_either_placed_as_json_or_a_config_error(options: dict[str, str]) -> None:
    try:
        placement = Veth().place(NetworkRequest("clnet", 0, "veth", options))
    except ConfigError:
        return
    assert NetworkPlacement(**json.loads(json.dumps(placement.as_dict()))) == placement


@given(st.sets(st.tuples(st.text(), st.integers(0, 99)), min_size=2, max_size=20))
def test_generated_host_names_are_valid_and_differ(requests: set[tuple[str, int]]) -> None:
    names = [place(index, container_id).host_name for container_id, index in requests]
    assert len(set(names)) == len(names)
    assert all(len(name) == 15 and name.isalnum() for name in names)
