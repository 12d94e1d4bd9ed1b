"""The module that ``pytest --corelaunch-contract KIND:NAME`` collects: a contract class for an installed plugin."""

from __future__ import annotations

from typing import Any

import pytest


def contract_class(kind: str, name: str, contract: str, fixture: str) -> type:
    """A subclass of a contract whose fixture loads the plugin by its name.

    Args:
        kind: kind of plugin, as in ``corelaunch.hookspecs.GROUPS``.
        name: name of its entry point.
        contract: "module:class".
        fixture: name of the fixture that the contract wants.
    """
    module, _, attribute = contract.partition(":")
    base = getattr(__import__(module, fromlist=[attribute]), attribute)

    def implementation(self: Any) -> Any:
        from corelaunch.plugins.registry import Registry

        return Registry().plugin(kind, name) if kind == "lifecycle" else Registry().load(kind, name)

    words = "".join(word.title() for word in f"{name}_{kind}".replace("-", "_").split("_"))
    return type(
        f"Test{words}", (base,), {fixture: pytest.fixture(implementation, name=fixture), "__doc__": base.__doc__}
    )
