"""Network strategies whose placement tells core something wrong, on purpose; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

from typing import Any

from corelaunch.api import NetworkRequest

from .network_reference import ReferenceVeth


class KeepsAddressesToItself(ReferenceVeth):
    """Core cannot see which addresses there will be."""

    def for_core(self, request: NetworkRequest, inside: str) -> dict[str, Any]:
        return {**super().for_core(request, inside), "addresses": []}


class SwallowsDns(ReferenceVeth):
    """Claims dns, and only the servers arrive."""

    def for_core(self, request: NetworkRequest, inside: str) -> dict[str, Any]:
        return {**super().for_core(request, inside), "search": [], "resolver_options": [], "hosts": []}


class BelievesDnsText(ReferenceVeth):
    """Passes on whatever stands in the options of dns, further lines included."""

    def for_core(self, request: NetworkRequest, inside: str) -> dict[str, Any]:
        split = {option: text.split(",") for option, text in request.options.items()}
        plain = super().for_core(request.replace(options={**request.options, **_WITHOUT_DNS}), inside)
        hosts = [" ".join(entry.split(":", 1)[::-1]) for entry in split.get("add-host", [])]
        servers, search, options = (split.get(option, []) for option in ("dns", "search", "dns-option"))
        return {**plain, "nameservers": servers, "search": search, "resolver_options": options, "hosts": hosts}


_WITHOUT_DNS = dict.fromkeys(("dns", "search", "dns-option", "add-host"), "")


class AlwaysMeansEth0(ReferenceVeth):
    """Writes the parameter of eth0, whatever the interface is called."""

    def for_core(self, request: NetworkRequest, inside: str) -> dict[str, Any]:
        return super().for_core(request, "eth0")
