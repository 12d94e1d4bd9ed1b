"""The reference of a strategy with NAT: ReferenceBridge, whose bridge has an nftables table, made by nft(8)."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import ipaddress
import subprocess

from corelaunch.api import AlreadyExists, KernelError, LaunchContext, NetworkPlacement

from .network_reference_bridge import ReferenceBridge
from .network_rtnetlink import Rtnetlink
from .network_stage import FEATURES
from .network_tables import inet_tables

_FORWARDING = "/proc/sys/net/ipv4/ip_forward"
#: Says that forwarding was off before.
MARK = "refnat-forwarding"


class ReferenceNat(ReferenceBridge):
    """A table is ours if its comment is the address that our bridge of its name has."""

    features = frozenset(FEATURES) - {"move", "companion"}

    def ensure(self, netlink: Rtnetlink, placement: NetworkPlacement, ctx: LaunchContext) -> None:
        if "nat" in placement.options:
            self.ensure_nat(netlink, placement, ctx)
        super().ensure(netlink, placement, ctx)

    def ensure_nat(self, netlink: Rtnetlink, placement: NetworkPlacement, ctx: LaunchContext) -> None:
        """Make the table, unless the bridge is in use: then it has one, or none is to be had."""
        name, mac = placement.shared_name, self.our_mac(netlink, placement.shared_name).hex(":")
        bridge = netlink.links().get(name)
        if bridge is not None and not self.may_change(netlink, bridge, bytes.fromhex(mac.replace(":", ""))):
            if not self.has_nat(name, mac):
                raise AlreadyExists("the bridge has no NAT", where=name)
            return
        with open(_FORWARDING, encoding="ascii") as file:
            off = file.read().strip() == "0"
        for table, comment in ((f"refnat-{name}", mac), *([(MARK, MARK)] if off else [])):
            self.refuse_foreign(table, comment)
        if off:
            self.make_table(MARK, f'create table inet {MARK} {{ comment "{MARK}" ; }}', ctx)
            with open(_FORWARDING, "w", encoding="ascii") as file:
                file.write("1")
        self.make_table(f"refnat-{name}", self.rules(placement, mac), ctx)

    def has_nat(self, bridge: str, mac: str) -> bool:
        """Whether a bridge that is in use has a table of ours."""
        return inet_tables().get(f"refnat-{bridge}") == mac

    def refuse_foreign(self, table: str, comment: str) -> None:
        """Refuse a table that is there and not ours."""
        if inet_tables().get(table, comment) != comment:
            raise AlreadyExists("table exists", where=table)

    def make_table(self, name: str, text: str, ctx: LaunchContext) -> None:
        """Announce, make, confirm; one of ours that was left behind is replaced."""
        left = name in inet_tables()
        if left:
            nft(f"delete table inet {name}\n{text}")
        else:
            effect = ctx.intend("table", name, absent=True)
            nft(text)
            ctx.done(effect)

    def rules(self, placement: NetworkPlacement, mac: str) -> str:
        """The table in the commands of nft(8), which takes a block only after ``add``, and that does not refuse."""
        name = placement.shared_name
        table = f"refnat-{name}"
        commands = [
            f'create table inet {table} {{ comment "{mac}" ; }}',
            f"add chain inet {table} post {{ type nat hook postrouting priority 100 ; }}",
        ]
        for address in placement.options["bridge-address"].split(","):
            network = ipaddress.ip_interface(address).network
            ip = "ip6" if network.version == 6 else "ip"
            commands.append(f'add rule inet {table} post {ip} saddr {network} oifname != "{name}" masquerade')
        return "\n".join(commands + self.guard(table, name))

    def guard(self, table: str, bridge: str) -> list[str]:
        """The chain that lets nobody in."""
        inwards = f'oifname "{bridge}" iifname != "{bridge}"'
        return [
            f"add chain inet {table} forward {{ type filter hook forward priority 0 ; }}",
            f"add rule inet {table} forward {inwards} ct state established,related accept",
            f"add rule inet {table} forward {inwards} drop",
        ]

    def remove_unused(self, netlink: Rtnetlink, name: str) -> None:
        mac = self.our_mac(netlink, name).hex(":")
        super().remove_unused(netlink, name)
        bridge = netlink.links().get(name)
        if bridge is None or bridge.mac != mac:
            self.remove_table(f"refnat-{name}", mac)
            tables = inet_tables()
            if tables.get(MARK) == MARK and not any(t.startswith("refnat-") and t != MARK for t in tables):
                self.forward_no_more()
                nft(f"delete table inet {MARK}")

    def forward_no_more(self) -> None:
        """Turn off what was turned on."""
        with open(_FORWARDING, "w", encoding="ascii") as file:
            file.write("0")

    def remove_table(self, name: str, mac: str) -> None:
        """Remove a table if it is ours."""
        if inet_tables().get(name) == mac:
            nft(f"delete table inet {name}")


def nft(text: str) -> None:
    """Have nft(8) do it, all or nothing."""
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise KernelError("nft failed", why=done.stderr.strip())
