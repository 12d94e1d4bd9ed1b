"""A network stack in user mode, beside the container: what strategies share whose interface a program serves.

The program makes a tap device in the container's network namespace and speaks, for what comes out of it, through
ordinary sockets of the host: so it needs no privilege there. It is a companion (``corelaunch.api.start_companion``):
announced before it runs, and ended with the container's init. Addresses and routes are set through the container's
netlink socket, as with every strategy; the program is only told which they are.
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    KernelError,
    NetworkPlacement,
    NetworkStrategy,
    Record,
    boot_id,
    start_companion,
)

from . import options, pair, values
from .namespaces import ContainerNamespace
from .process_groups import kill_group
from .programs import PATH
from .rtnetlink import Netlink
from .trusted_programs import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkRequest, ProcessHandle

#: Numbers in the program of what it is given: the network namespace, the pipe for its readiness, the user namespace.
NETWORK_FD, READY_FD, USER_FD = 6, 7, 8
#: Numbers of hosts within a subnet, as slirp4netns has them: gateway, name server, container.
GATEWAY, NAME_SERVER, CONTAINER = 2, 3, 100
#: The only IPv6 subnet that slirp4netns knows.
IPV6_SUBNET = "fd00::"
#: Seconds before the deadline of a call at which a program is given up, so that the error can still be told.
_MARGIN_SECONDS = 1.0
_LARGEST_MTU = 65520

FEATURES = frozenset({"name", "mtu", "mac", "accept-ra", "dns", "attach", "companion"})


def _mtu(text: str) -> int:
    number = values.mtu(text)
    if not options.SMALLEST_IPV6_MTU <= number <= _LARGEST_MTU:
        raise ValueError(f"{number} is not between {options.SMALLEST_IPV6_MTU} and {_LARGEST_MTU}")
    return number


def _subnet(text: str) -> str:
    subnet = values.subnet(text)
    if ":" in subnet or int(subnet.partition("/")[2]) > 24:
        raise ValueError(f"{text!r} is not an IPv4 subnet of at least 256 addresses")
    return subnet


TABLE: options.Table = {
    "name": (values.new_interface_name, "", "eth0"),
    "subnet": (_subnet, "", "10.0.2.0/24"),
    "ipv6": (values.yes_or_no, None, "false"),
    "mtu": (_mtu, _LARGEST_MTU, "1500"),
    "mac": (values.mac, "", "02:00:00:00:00:02"),
    "publish": (values.published_ports, [], "8080:80/tcp"),
    "host-loopback": (values.yes_or_no, False, "true"),
    "accept-ra": (values.accept_ra, "", "0"),
    **options.LOOPBACK,
}


class Start(Record):
    """What a program is started with."""

    path: str
    given: Sequence[int]
    ready: int
    deadline: float


class UserModeStrategy(NetworkStrategy):
    """A strategy whose interface a program serves; a subclass says which program, and how it is called."""

    features = FEATURES
    needs_root = False
    #: The program, where it is, and the Debian package that has it.
    program = ""
    package = ""
    directories = ("/usr/local/bin", "/usr/bin", "/bin")

    def arguments(self, placement: NetworkPlacement, *, user_namespace: bool, socket: str) -> list[str]:
        """What the program is called with, after its name.

        Args:
            user_namespace: it has to enter one.
            socket: where it is to take orders, "" nowhere.
        """
        raise NotImplementedError

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """``ethINDEX`` with the 100th address of ``10.0.2.0/24`` (the next interface of ``10.0.3.0/24``, and so on)."""
        checked = options.check(request, TABLE)
        name = checked["name"] or f"eth{request.index}"
        subnet = checked["subnet"] or f"10.0.{2 + request.index % 250}.0/24"
        checked |= {"subnet": subnet, "index": request.index}
        if checked["ipv6"] is None:
            checked["ipv6"] = has_default_route(ipv6=True)
        addresses = [f"{host_of(subnet, CONTAINER)}/{subnet.partition('/')[2]}"]
        gateways = [host_of(subnet, GATEWAY)]
        if checked["ipv6"]:
            addresses.append(f"{IPV6_SUBNET}{CONTAINER + request.index}/64")
            gateways.append(f"{IPV6_SUBNET}{GATEWAY}")
        placed = options.files(checked)
        placed["nameservers"] = placed["nameservers"] or [host_of(subnet, NAME_SERVER)]
        kept = ("subnet", "ipv6", "mtu", "mac", "publish", "host-loopback", "index")
        return NetworkPlacement(
            container_name=name,
            options={"gateway": gateways, **{option: checked[option] for option in kept}},
            addresses=addresses,
            sysctl={f"net/ipv6/conf/{name}/accept_ra": checked["accept-ra"]} if checked["accept-ra"] else {},
            **placed,
        )

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Start the program; the interface is there when this returns.

        Raises:
            AlreadyExists: the container has an interface of that name.
            ConfigError: the program is not installed, or the container has no network namespace of its own.
            PluginError, DeadlineExceeded: the program failed, or was not ready in time.
            KernelError: the process is gone.
        """
        path = find(self.program, self.directories, self.package)
        deadline = ctx.deadline - _MARGIN_SECONDS
        with ContainerNamespace(process) as container:
            pair.check_own_namespace(container, placement.container_name)
            if placement.container_name in container.links():
                hint = "choose another with name="
                where = placement.container_name
                raise AlreadyExists("a link of that name exists in the container", where=where, hint=hint)
            user = _open_user_namespace(process)
            ready, written = os.pipe2(os.O_CLOEXEC)
            try:
                given = [container.fd, written, *user]
                self.start(placement, process, ctx, Start(path, tuple(given), ready, deadline))
            finally:
                for fd in (ready, written, *user):
                    if fd >= 0:
                        os.close(fd)

    def start(
        self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext, start: Start, socket: str = ""
    ) -> None:
        """Announce the program, start it, and confirm it when it is ready."""
        announced: list[Effect] = []

        def announce(pid: int, start_time: int) -> None:
            name = f"{self.program} of {placement.container_name}"
            facts: dict[str, Any] = {"pid": pid, "start_time": start_time, "boot_id": boot_id()}
            announced.append(ctx.intend("companion", name, absent=True, **facts))

        # By its own name: pasta is passt by another one.
        words = [self.program, *self.arguments(placement, user_namespace=len(start.given) > 2, socket=socket)]
        start_companion(
            process, start.path, words, {"PATH": PATH}, start.given, start.ready, start.deadline, announce
        )
        ctx.done(announced[0])

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """MTU and MAC address, up, addresses, and default routes behind those of earlier interfaces."""
        asked = placement.options
        with Netlink(ctx.deadline, netlink_fd) as netlink:
            link = netlink.link(name=placement.container_name)
            if link is None:
                raise KernelError("cannot set up link", where=placement.container_name, errno=errno.ENODEV)
            attributes: list[tuple[str, Any]] = [("IFLA_MTU", asked["mtu"])]
            if asked["mac"]:
                attributes.append(("IFLA_ADDRESS", asked["mac"]))
            netlink.set_link(link, attributes=attributes)
            netlink.set_link(link, up=True)
            for address in placement.addresses:
                netlink.add_address(link, address)
            for gateway in asked["gateway"]:
                everywhere = "::/0" if ":" in gateway else "0.0.0.0/0"
                netlink.add_route(link, everywhere, gateway, priority=asked["index"])

    def attach(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """``create`` for a container that runs."""
        self.create(placement, process, ctx)

    def detach(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """End the program: its interface goes with it."""
        self.destroy(placement, effects)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """End the program, if the effects prove that it is ours; it may have ended with the container.

        Raises:
            DeadlineExceeded: it does not die.
        """
        for effect in effects:
            if effect.kind == "companion" and effect.args["boot_id"] == boot_id():
                kill_group(effect.args["pid"], effect.args["start_time"])


def host_of(subnet: str, number: int) -> str:
    """The address of a host of an IPv4 subnet, by its number there."""
    import socket

    base = int.from_bytes(socket.inet_aton(subnet.partition("/")[0]), "big")
    return socket.inet_ntoa((base + number).to_bytes(4, "big"))


def has_default_route(*, ipv6: bool = False) -> bool:
    """Whether the host (the calling thread's network namespace) has a default route, by /proc/net (proc(5))."""
    try:
        with open(f"/proc/thread-self/net/{'ipv6_route' if ipv6 else 'route'}", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:
        return False  # a kernel without IPv6
    if not ipv6:
        # Interface, destination, gateway, flags, …, mask.
        return any(fields[1] == fields[7] == "00000000" for fields in lines[1:])
    # Destination, its prefix length, source, its length, next hop, metric, references, use, flags, interface. The
    # kernel's own entry that refuses everything is on lo.
    return any(fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo" for fields in lines)


def _open_user_namespace(process: ProcessHandle) -> list[int]:
    """The user namespace that an ordinary user's program must enter to work in the container's network namespace.

    Root has every capability over network namespaces of user namespaces below his: [].

    Raises:
        KernelError: the process is gone.
    """
    if os.geteuid() == 0:
        return []
    path = f"/proc/{process.pid}/ns/user"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError.of("cannot open the container's user namespace", error, where=path) from error
    if os.fstat(fd).st_ino == os.stat("/proc/self/ns/user").st_ino:
        os.close(fd)
        why = "the container has no user namespace of its own"
        raise ConfigError("cannot give the container a network interface", where="linux.namespaces", why=why)
    return [fd]
