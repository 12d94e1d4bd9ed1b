"""Network strategies that move devices, wrong on purpose; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corelaunch.api import Effect, ProcessHandle

from .network_host import host_links
from .network_reference_move import ReferenceMove, run


class LosesTheDevice(ReferenceMove):
    """Does not keep the network namespace: the device goes with the last process in there."""

    def keep(self, process: ProcessHandle, path: str) -> None:
        with open(path, "x", encoding="ascii"):
            pass


class ForgetsHowItWas(ReferenceMove):
    """Brings the device back as the container has left it."""

    def restore(self, name: str, was: Mapping[str, Any]) -> None:
        pass


class ForgetsTheAddresses(ReferenceMove):
    """Brings the device back as it was, but for its addresses, which the kernel drops with a move."""

    def restore(self, name: str, was: Mapping[str, Any]) -> None:
        super().restore(name, {**was, "addresses": []})


class TakesItsNameBack(ReferenceMove):
    """Deletes what has the device's name by now."""

    def take_back(self, effect: Effect) -> str:
        if effect.args["device"] in host_links():
            run("ip", "link", "delete", effect.args["device"])
        return super().take_back(effect)


class CopiesTheDevice(ReferenceMove):
    """Makes a pair of that name in the container and leaves the device on the host."""

    def move(self, process: ProcessHandle, device: str, inside: str) -> None:
        pair = ("ip", "link", "add", inside, "netns", str(process.pid), "type", "veth", "peer", "name", "refpeer")
        run(*pair)
