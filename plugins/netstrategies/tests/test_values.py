"""Values of options that only some strategies take."""

from __future__ import annotations

import pytest
from corelaunch_netstrategies.values import name_in_container, published_ports


@pytest.mark.parametrize("text", ["eth%d", "%d", "abcdefghijklm%d"])
def test_a_template_is_a_name_that_the_kernel_ends_with_a_number(text: str) -> None:
    assert name_in_container(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [("abcdefghijklmn%d", "has 16"), ("e%dth%d", "is not an interface name"), ("%s", "is not an interface name")],
)
def test_a_template_that_the_kernel_does_not_take_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        name_in_container(text)


def test_a_port_of_the_host_leads_to_one_place_only() -> None:
    assert published_ports("80:80,80:81/udp,81:80") == ["80:80/tcp", "80:81/udp", "81:80/tcp"]
    with pytest.raises(ValueError, match="port 80/tcp of the host is there twice"):
        published_ports("80:80,81:80,80:81/tcp")
