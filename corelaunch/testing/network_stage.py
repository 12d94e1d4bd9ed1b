"""The stage on which one promise of a network strategy is played: the strategy, one container, and short cuts."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest

from corelaunch.api import Effect, KernelError, NetworkPlacement, NetworkRequest, NetworkStrategy, Unsupported

from .guest_child import Child
from .guest_watched import Watched
from .host import host_lacks, not_claimed
from .network_host import Container, EffectRecorder, host_links, run_and_die
from .network_rtnetlink import IFLA_IFNAME, Rtnetlink, SeenLink, attribute

#: Feature -> the options that it brings, with values that every strategy must take.
FEATURES: Mapping[str, Mapping[str, str]] = {
    "addresses": {"address": "10.123.0.2/24"},
    "routes": {"gateway": "10.123.0.1", "route": "10.124.0.0/16 via 10.123.0.7"},
    "mtu": {"mtu": "1400"},
    "mac": {"mac": "02:00:00:00:12:34"},
    "name": {"name": "clnet0"},
    "accept-ra": {"accept-ra": "0"},
    "dns": {"dns": "10.123.0.53", "search": "example.org", "dns-option": "ndots:2", "add-host": "db:10.123.0.9"},
    "bridge": {"bridge": "clnetbr0", "bridge-address": "10.123.0.1/24"},
    "nat": {"nat": "true"},
    "move": {"device": "clnetdev"},
    "stats": {},
    "attach": {},
    "check": {},
    "gc": {},
    "companion": {},
}
#: How long the kernel may take until both ends of a pair have seen that the other is up.
CARRIER_SECONDS = 5.0
#: As many as a promise has links at a time; placements may name more.
_DEVICES = 6
#: How long the kernel may take to clean up a dead network namespace.
CLEANUP_SECONDS = 5.0
COUNTERS = {f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")}


class Stage:
    """One strategy and one container on a private host.

    Attributes:
        strategy: the one under test.
        options: what every request of it needs; a function says it for a container id and index.
    """

    def __init__(
        self, strategy: NetworkStrategy, options: Mapping[str, str] | Callable[[str, int], Mapping[str, str]]
    ) -> None:
        self.strategy = strategy
        self.options = options
        self._container: Container | None = None
        self._made: list[tuple[NetworkPlacement, EffectRecorder | Sequence[Effect]]] = []

    @property
    def container(self) -> Container:
        """A process in its own network namespace; made when a promise first needs it, because many need none."""
        if self._container is None:
            self._container = Container()
        return self._container

    def close(self) -> None:
        """Undo what promises have left, because not all of it goes with the private host; let the container go."""
        for placement, made in self._made:
            effects = made.effects if isinstance(made, EffectRecorder) else made
            # A wrong strategy may fail here as it likes: its promise has been judged.
            with suppress(Exception):
                self.strategy.destroy(placement, effects)
        if self._container is not None:
            self._container.__exit__()

    def place(
        self, more: Mapping[str, str] = MappingProxyType({}), *, container_id: str = "clnet-contract", index: int = 0
    ) -> NetworkPlacement:
        """Place a request with more options."""
        placement = self.strategy.place(self.request(more, container_id, index))
        if not isinstance(placement, NetworkPlacement):
            pytest.fail(f"place returned {placement!r}, which is no NetworkPlacement")
        return placement

    def request(
        self, more: Mapping[str, str] = MappingProxyType({}), container_id: str = "clnet-contract", index: int = 0
    ) -> NetworkRequest:
        """A request with more options."""
        options = self.options(container_id, index) if callable(self.options) else self.options
        return NetworkRequest(container_id, index, "contract", {**options, **more})

    def place_on_host(self) -> NetworkPlacement:
        """Place, and skip if the strategy makes nothing on the host."""
        placement = self.place()
        if not placement.host_name:
            pytest.skip("this strategy makes nothing on the host")
        return placement

    def place_new(self) -> NetworkPlacement:
        """Place, and skip if what the strategy gives is the loopback interface, which is there in any case."""
        placement = self.place()
        if placement.container_name == "lo":
            pytest.skip("this strategy makes no interface")
        return placement

    def create(
        self, placement: NetworkPlacement, recorder: EffectRecorder | None = None, container: Container | None = None
    ) -> EffectRecorder:
        """Create; skip if this kernel has no such type of link.

        The kernel's own word for that is EOPNOTSUPP (rtnl_newlink() in net/core/rtnetlink.c), so that is what counts:
        as the ``errno`` of the error, or of what it was raised from. Other refusals are the strategy's.
        """
        recorder = recorder or EffectRecorder()
        self.undo_later(placement, recorder)
        try:
            self.strategy.create(placement, (container or self.container).process, recorder)
        except (KernelError, Unsupported) as error:
            if errno.EOPNOTSUPP in (error.errno, getattr(error.__cause__, "errno", 0), _netlink_code(error.__cause__)):
                host_lacks(f"this type of link ({error.what})")
            if isinstance(error, Unsupported):
                pytest.fail(
                    f"create refuses: {error} (if this kernel has no such type of link, say so with the kernel's own "
                    "word: KernelError(…, errno=errno.EOPNOTSUPP))"
                )
            raise
        return recorder

    def give(self, placement: NetworkPlacement, container: Container | None = None) -> EffectRecorder:
        """Create and initialize, as a launch does."""
        container = container or self.container
        recorder = self.create(placement, container=container)
        self.strategy.initialize(placement, container.netlink_fd, recorder)
        return recorder

    def round(self, number: int, child: Child) -> None:
        """One container, used as far as the strategy claims, and destroyed."""
        strategy: Any = Watched(self.strategy, child)
        claimed = self.strategy.features
        placement, recorder = strategy.place(self.request({}, index=number)), EffectRecorder()
        with Container() as container:
            try:
                try:
                    strategy.create(placement, container.process, recorder)
                except KernelError as error:
                    if error.errno == errno.EOPNOTSUPP:
                        host_lacks(f"this type of link ({error})")
                    raise
                strategy.initialize(placement, container.netlink_fd, recorder)
                if "stats" in claimed and placement.container_name != "lo":
                    strategy.stats(placement)
                if "check" in claimed:
                    with suppress(Unsupported):  # of an interface that cannot be looked at
                        strategy.check(placement, recorder.effects, container.process)
            finally:
                for _ in range(2):
                    strategy.destroy(placement, recorder.effects)
        if "attach" in claimed:
            recorder = EffectRecorder()
            with Container() as container:
                try:
                    strategy.attach(placement, container.process, recorder)
                    strategy.initialize(placement, container.netlink_fd, recorder)
                finally:
                    strategy.detach(placement, recorder.effects)

    def undo_later(self, placement: NetworkPlacement, effects: EffectRecorder | Sequence[Effect]) -> None:
        """At the end of the promise, undo what the effects say then."""
        self._made.append((placement, effects))

    def need(self, *features: str) -> None:
        """Skip unless the strategy claims all of these."""
        for feature in features:
            if feature not in self.strategy.features:
                not_claimed(feature)

    def unclaimed(self, *features: str) -> list[str]:
        """Those of these features that the strategy does not claim; skip if it claims them all."""
        left = [feature for feature in features if feature not in self.strategy.features]
        if not left:
            pytest.skip(f"all of {', '.join(features)} are claimed")
        return left


def _netlink_code(error: BaseException | None) -> int:
    """The number in an error of pyroute2 (NetlinkError.code)."""
    return getattr(error, "code", 0)


def static(link: SeenLink) -> SeenLink:
    """A link without what changes by itself."""
    seen: SeenLink = link.replace(counters={}, operational=False)
    return seen


def still_links() -> dict[str, SeenLink]:
    """The host's links without what changes by itself."""
    return {name: static(link) for name, link in host_links().items()}


def lend_devices() -> Callable[[str, int], Mapping[str, str]]:
    """Devices on the private host, and for each container id and index the option that names one of its own."""
    with Rtnetlink() as netlink:
        for number in range(_DEVICES):
            netlink.make_veth(f"clnetdev{number}", attribute(IFLA_IFNAME, f"clnetend{number}"))
    given: dict[tuple[str, int], str] = {}

    def options(container_id: str, index: int) -> Mapping[str, str]:
        return {"device": given.setdefault((container_id, index), f"clnetdev{len(given)}")}

    return options


def own_links(placement: NetworkPlacement) -> dict[str, SeenLink]:
    """The host's links without the one that the placement shares with others."""
    return {name: link for name, link in host_links().items() if name != placement.shared_name}


def die_creating(stage: Stage, placement: NetworkPlacement, name: str) -> list[Effect]:
    """Create in a process that is killed (kill -9) when it confirms what has that name; what its journal holds."""
    process = stage.container.process  # begun here: nobody would end one that is begun by who dies
    effects = run_and_die(lambda recorder: stage.strategy.create(placement, process, recorder), name)
    stage.undo_later(placement, effects)
    return effects


def await_operational(name: str) -> None:
    """Wait until the host's link of that name passes packets: the kernel sees to that in its own time."""
    deadline = time.monotonic() + CARRIER_SECONDS
    while not host_links()[name].operational and time.monotonic() < deadline:
        time.sleep(0.005)


def make_foreign(name: str) -> None:
    """A link of somebody else's, of that name, on the private host."""
    with Rtnetlink() as netlink:
        netlink.make_veth(name, attribute(IFLA_IFNAME, "clnetforeign"))


def replace_by_foreign(name: str) -> None:
    """Delete a link behind the strategy's back and make a foreign one of the same name."""
    with Rtnetlink() as netlink:
        netlink.delete_link(host_links()[name].index)
    make_foreign(name)


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6."""
    return os.path.exists("/proc/net/if_inet6")
