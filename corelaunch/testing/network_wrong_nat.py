"""Network strategies with NAT that are wrong on purpose; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

from corelaunch.api import LaunchContext, NetworkPlacement

from .network_reference_nat import ReferenceNat, nft
from .network_tables import inet_tables


class KeepsTheRules(ReferenceNat):
    """Removes the bridge and forgets its table."""

    def remove_table(self, name: str, mac: str) -> None:
        pass


class LeavesForwardingOn(ReferenceNat):
    """Turns forwarding on and never off."""

    def forward_no_more(self) -> None:
        pass


class TranslatesOneFamily(ReferenceNat):
    """Masquerades IPv4 alone."""

    def rules(self, placement: NetworkPlacement, mac: str) -> str:
        first = placement.options["bridge-address"].partition(",")[0]
        return super().rules(placement.replace(options={**placement.options, "bridge-address": first}), mac)


class LetsEverybodyIn(ReferenceNat):
    """A router without a guard."""

    def guard(self, table: str, bridge: str) -> list[str]:
        return []


class TablesAreByName(ReferenceNat):
    """Whatever table has the name is its own."""

    def refuse_foreign(self, table: str, comment: str) -> None:
        pass

    def remove_table(self, name: str, mac: str) -> None:
        if name in inet_tables():
            nft(f"delete table inet {name}")


class AnnouncesTablesLate(ReferenceNat):
    """Makes the table first and announces it then."""

    def make_table(self, name: str, text: str, ctx: LaunchContext) -> None:
        nft(text)
        ctx.done(ctx.intend("table", name, absent=True))


class ConfirmsTablesEarly(ReferenceNat):
    """Confirms the table before it is there."""

    def make_table(self, name: str, text: str, ctx: LaunchContext) -> None:
        ctx.done(ctx.intend("table", name, absent=True))
        nft(text)


class PromisesNatToAll(ReferenceNat):
    """Takes every bridge that is in use for one with NAT."""

    def has_nat(self, bridge: str, mac: str) -> bool:
        return True
