"""The three ways of asking for a network mean the same, and each mistake is named where it was made."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.api import ConfigError, NetworkPlacement, NetworkRequest
from corelaunch.networks import check_together, from_annotation, parse_network, requests


def test_a_type_alone_has_no_options() -> None:
    assert parse_network("veth") == {"type": "veth", "options": {}}


def test_values_may_hold_colons_and_equals_signs() -> None:
    parsed = parse_network("veth:address=fd00::2/64,mac=02:00:00:00:00:01,note=a=b")
    assert parsed["options"] == {"address": "fd00::2/64", "mac": "02:00:00:00:00:01", "note": "a=b"}


def test_a_repeated_key_keeps_all_values_in_order() -> None:
    assert parse_network("veth:address=10.0.0.2/8,mtu=9000,address=fd00::2/64")["options"] == {
        "address": "10.0.0.2/8,fd00::2/64",
        "mtu": "9000",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no type"),
        (":name=eth0", "no type"),
        ("veth:", "'' is not key=value"),
        ("veth:name", "'name' is not key=value"),
        ("veth:=eth0", "'=eth0' is not key=value"),
        ("veth:name=", "'name=' is not key=value"),
        ("veth:name=eth0,", "'' is not key=value"),
    ],
)
def test_a_malformed_text_is_refused_with_the_part_that_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_network(text)
    assert (caught.value.where, caught.value.why) == (repr(text), why)


WORD = st.text(st.characters(codec="utf-8", exclude_characters=":=,", exclude_categories=("Cs",)), min_size=1)


@given(kind=WORD, options=st.dictionaries(WORD, st.lists(WORD, min_size=1), max_size=4))
def test_text_mapping_and_annotation_give_equal_requests(kind: str, options: dict[str, list[str]]) -> None:
    pairs = ",".join(f"{key}={value}" for key, values in options.items() for value in values)
    text = f"{kind}:{pairs}" if pairs else kind
    mapping = {"type": kind, "options": options}
    from_text = requests("clnet", [text])
    assert from_text == requests("clnet", [mapping])
    assert from_text == requests("clnet", from_annotation(json.dumps([mapping])))


def test_requests_are_numbered_in_their_order() -> None:
    assert requests("clnet", ["veth", {"type": "bridge", "options": {"mtu": 1400}}]) == [
        NetworkRequest("clnet", 0, "veth", {}),
        NetworkRequest("clnet", 1, "bridge", {"mtu": "1400"}),
    ]


def test_two_requests_for_one_interface_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"networks\[2\].*networks\[0\] has the same interface name 'web0'"):
        requests("clnet", ["veth:name=web0", "veth:name=web1", "bridge:name=web0"])


def test_a_chosen_name_that_meets_a_default_name_is_refused_after_placing() -> None:
    placements = [NetworkPlacement("clneta", "eth1"), NetworkPlacement("clnetb", "eth1")]
    with pytest.raises(ConfigError, match="same interface name 'eth1'"):
        check_together(placements)


def test_two_links_of_one_host_name_are_refused_after_placing() -> None:
    with pytest.raises(ConfigError, match="same host interface name 'clneta'"):
        check_together([NetworkPlacement("clneta", "eth0"), NetworkPlacement("clneta", "eth1")])


def test_one_address_on_two_interfaces_is_refused_after_placing() -> None:
    placements = [
        NetworkPlacement("clneta", "eth0", addresses=["10.0.0.2/24", "fd00::2/64"]),
        NetworkPlacement("clnetb", "eth1", addresses=["10.0.1.2/24", "fd00::2/128"]),
    ]
    with pytest.raises(ConfigError, match=r"networks\[1\]: networks\[0\] has the same address fd00::2 "):
        check_together(placements)


def test_placements_without_names_never_clash() -> None:
    check_together([NetworkPlacement(), NetworkPlacement()])


@pytest.mark.parametrize(
    ("item", "where"),
    [
        (3, "networks[0]"),
        (None, "networks[0]"),
        ({}, "networks[0]"),
        ({"type": ""}, "networks[0]"),
        ({"type": 1}, "networks[0]"),
        ({"type": "veth", "address": "10.0.0.2/24"}, "networks[0].address"),
        ({"type": "veth", "options": []}, "networks[0].options"),
        ({"type": "veth", "options": {1: "x"}}, "networks[0].options"),
        ({"type": "veth", "options": {"mtu": None}}, "networks[0].options.mtu"),
        ({"type": "veth", "options": {"mtu": True}}, "networks[0].options.mtu"),
        ({"type": "veth", "options": {"mtu": ""}}, "networks[0].options.mtu"),
        ({"type": "veth", "options": {"address": []}}, "networks[0].options.address"),
        ({"type": "veth", "options": {"address": [["a"]]}}, "networks[0].options.address"),
    ],
)
def test_a_malformed_item_is_refused_where_it_is_wrong(item: object, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        requests("clnet", [item])  # type: ignore[list-item]
    assert caught.value.where == where


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,"])
def test_an_annotation_that_is_not_json_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"annotations\['org.corelaunch.networks'\]"):
        from_annotation(text)


@pytest.mark.parametrize("text", ["{}", '"veth"', "null"])
def test_an_annotation_that_is_not_an_array_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError, match="it is not an array"):
        from_annotation(text)


def test_a_wrong_item_of_an_annotation_is_named_by_its_number() -> None:
    with pytest.raises(ConfigError) as caught:
        from_annotation('["veth", {"options": {}}]')
    assert caught.value.where == "annotations['org.corelaunch.networks'][1]"


def test_importing_it_costs_the_launch_path_nothing() -> None:
    code = (
        "import sys, corelaunch.networks; print(sorted({'re', 'typing', 'json', 'enum', 'socket'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"
