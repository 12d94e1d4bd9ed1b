"""The reference of a strategy that moves a device of the host's: ip(8), mount(8) and nsenter(1) do the work."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    Effect,
    KernelError,
    LaunchContext,
    NetworkPlacement,
    NetworkRequest,
    ProcessHandle,
)

from .network_reference import ReferenceVeth
from .network_rtnetlink import Rtnetlink


class ReferenceMove(ReferenceVeth):
    """The network namespace is bound onto a file, which keeps it and the device until ``destroy``."""

    features = frozenset({"addresses", "routes", "name", "accept-ra", "dns", "move"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        if "device" not in request.options:
            raise ConfigError("missing", where="device")
        placement: NetworkPlacement = super().place(request)
        inside = request.options.get("name", request.options["device"])
        placement = placement.replace(host_name="", container_name=inside)
        return placement.replace(**self.for_core(request, inside))  # type: ignore[no-any-return]

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        device = placement.options["device"]
        namespace = self.open_namespace(process)
        try:
            with Rtnetlink() as netlink:
                link = netlink.links().get(device)
                if link is None or link.master:
                    raise KernelError("cannot be moved", where=device)
                addresses = [address.cidr for address in netlink.addresses(link.index)]
            path = f"{tempfile.gettempdir()}/refmove-{os.urandom(8).hex()}"
            state = {"mtu": link.mtu, "mac": link.mac, "up": link.up, "addresses": addresses, "index": link.index}
            effect = ctx.intend("netns", path, absent=True, device=device, inside=placement.container_name, **state)
            self.keep(process, path)
            self.move(process, device, placement.container_name)
            # The kernel keeps the number of a device if it is free where it goes, as here.
            ctx.done(effect)
        finally:
            os.close(namespace)

    def keep(self, process: ProcessHandle, path: str) -> None:
        """Let the network namespace outlive the process."""
        with open(path, "x", encoding="ascii"):
            pass
        run("mount", "--bind", f"/proc/{process.pid}/ns/net", path)

    def move(self, process: ProcessHandle, device: str, inside: str) -> None:
        """Into the container, under its name there."""
        try:
            run("ip", "link", "set", device, "netns", str(process.pid), "name", inside)
        except KernelError as error:
            if "File exists" in error.why:
                raise AlreadyExists("the name is taken", where=inside) from error
            raise

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        for effect in effects:
            back = self.take_back(effect)
            if back:
                self.restore(back, effect.args)
            if os.path.exists(effect.name):
                subprocess.run(["umount", effect.name], check=False, stderr=subprocess.DEVNULL)
                os.unlink(effect.name)
            if back not in ("", effect.args["device"]):
                raise KernelError("it is back under another name", where=effect.args["device"])

    def take_back(self, effect: Effect) -> str:
        """Move the device to where the caller is, "" if it is not in the namespace that was kept; its name now."""
        if not os.path.ismount(effect.name):
            return ""
        inside = f"nsenter --net={effect.name}"
        lines = run(*inside.split(), "ip", "-o", "link", "show").splitlines()
        # One that was not confirmed was in a container that never ran, so it has its address still.
        mac = "" if effect.done else effect.args["mac"]
        of_it = [line for line in lines if line.startswith(f"{effect.args['index']}: ") and mac in line]
        if not of_it:
            return ""
        found = of_it[0].split()[1].rstrip(":").partition("@")[0]
        name: str = effect.args["device"]
        with Rtnetlink() as netlink:
            target = name if name not in netlink.links() else "refback0"
        run(*inside.split(), "ip", "link", "set", found, "down")
        # nsenter changes the caller's namespace for its child alone: this process's own is where it was.
        run(*inside.split(), "ip", "link", "set", found, "netns", str(os.getpid()), "name", target)
        return target

    def restore(self, name: str, was: Mapping[str, Any]) -> None:
        """As it was."""
        run("ip", "link", "set", name, "address", was["mac"], "mtu", str(was["mtu"]))
        run("ip", "link", "set", name, "up" if was["up"] else "down")
        for address in was["addresses"]:
            run("ip", "address", "add", address, "dev", name)


def run(*command: str) -> str:
    """Have a program do it; what it says.

    Raises:
        KernelError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KernelError(f"{command[0]} failed", why=done.stderr.strip())
    return done.stdout.strip()
