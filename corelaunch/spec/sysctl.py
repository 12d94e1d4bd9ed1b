"""linux.sysctl: which kernel parameters belong to a namespace of the container, and where their files are.

Every parameter that is not known to be namespaced is refused: it would change the host. The key has a strict
grammar, because keys and values come from users of an engine (CVE-2022-0811 smuggled a second parameter through).
"""

from __future__ import annotations

from .namespaces import add_namespace, with_article

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Parameters of the IPC namespace (ipc_namespaces(7)); all hold integers.
_IPC = frozenset(
    f"kernel/{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_COMPONENT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@")
_INTEGERS = frozenset("0123456789- \t")


def path_of(key: str) -> str:
    """The file of a parameter below /proc/sys: "net.ipv4.ip_forward" -> "net/ipv4/ip_forward".

    As in sysctl(8), the first separator decides: in "net/ipv4/conf/eth0.1/mtu" dots are part of a name, in
    "net.ipv4.conf.eth0/1.mtu" the slash stands for such a dot.

    Raises:
        ValueError: the key is not of that form; the message says why.
    """
    slash, dot = key.find("/"), key.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        parts = key.split("/")
    else:
        parts = [part.replace("/", ".") for part in key.split(".")]
    if len(parts) < 2:
        raise ValueError("not a sysctl key")
    for part in parts:
        if part in ("", ".", "..") or not _COMPONENT.issuperset(part):
            raise ValueError(f"{part!r} cannot be part of a sysctl key")
    return "/".join(parts)


def refusal(path: str, value: str, own: Iterable[str]) -> tuple[str, str]:
    """Why a parameter cannot be set, and what to do about it; ("", "") if it can.

    Args:
        path: as :func:`path_of` gives it.
        value: what is to be written.
        own: kinds of namespace that the container has of its own ("ipc", "network", …).
    """
    needed = namespace_of(path)
    if path == "kernel/hostname":
        return "the hostname is not a sysctl of a container", 'set it with "hostname"'
    if not needed:
        return "not a sysctl of a namespace: it would change the host", ""
    if needed not in own:
        return f"not allowed without {with_article(needed)} namespace of its own", add_namespace(needed)
    if path in _IPC and not (value and _INTEGERS.issuperset(value)):
        return "the value must consist of integers", ""
    if any(character < " " and character != "\t" for character in value):
        return "the value has a control character", ""
    return "", ""


def namespace_of(path: str) -> str:
    """The kind of namespace that a parameter belongs to, "" if it is the whole host's."""
    if path in _IPC or path.startswith("fs/mqueue/"):
        return "ipc"
    if path.startswith("net/"):
        return "network"
    if path == "kernel/domainname":
        return "uts"
    return "user" if path.startswith("user/") else ""
