"""The module that ``pytest --corelaunch-contract KIND:NAME`` collects: a contract class for an installed plugin."""

from __future__ import annotations

from typing import Any

import pytest


def contract_class(kind: str, name: str, contract: str, fixture: str) -> type:
    """A subclass of a contract whose fixture loads the plugin by its name.

    Args:
        kind: kind of plugin, as in ``corelaunch.hookspecs.GROUPS``.
        name: name of its entry point; of a network strategy also with the options that every request of it needs, as
            for ``--network`` (``macvlan:parent=eth0``): ``parent`` and ``device`` are made in the test's own network.
        contract: "module:class".
        fixture: name of the fixture that the contract wants.
    """
    module, _, attribute = contract.partition(":")
    base = getattr(__import__(module, fromlist=[attribute]), attribute)
    asked, (name, colon, _) = name, name.partition(":")

    def implementation(self: Any) -> Any:
        from corelaunch.plugins.registry import Registry

        return Registry().plugin(kind, name) if kind == "lifecycle" else Registry().load(kind, name)

    members = {fixture: pytest.fixture(implementation, name=fixture), "__doc__": base.__doc__}
    if colon:
        members["options"] = pytest.fixture(lambda self, private_host: _options(asked), name="options")
    words = "".join(word.title() for word in f"{name}_{kind}".replace("-", "_").split("_"))
    return type(f"Test{words}", (base,), members)


def _options(asked: str) -> Any:
    """The options of every request; what they name of the host is made in the test's own network."""
    from corelaunch.networks import parse_network

    from .network_host import host_links
    from .network_rtnetlink import IFLA_IFNAME, Rtnetlink, attribute
    from .network_stage import lend_devices

    options = parse_network(asked)["options"]
    if "parent" in options:
        with Rtnetlink() as netlink:
            netlink.make_veth(options["parent"], attribute(IFLA_IFNAME, "clnetpeer"))
            for end in (options["parent"], "clnetpeer"):
                netlink.set_link(host_links()[end].index, up=True)
    if "device" not in options:
        return options
    lent = lend_devices()  # each request has one of its own, whatever name was given
    return lambda container_id, index: {**options, **lent(container_id, index)}
