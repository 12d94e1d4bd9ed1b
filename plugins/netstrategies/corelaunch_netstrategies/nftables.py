"""Tables, chains and rules over a NETLINK_NETFILTER socket: several messages, one transaction, all of it or nothing.

Sources: include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h. Whose a table is stands in its comment, which
``nft list tables`` shows: it comes in the message that makes the table, so there is no moment without it.
"""

from __future__ import annotations

import errno
import struct
import time

from corelaunch.api import DeadlineExceeded, KernelError, Record

from .netlink_socket import (
    ATTRIBUTE,
    HEADER,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    NetlinkSocket,
    attributes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES = 10
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 0x10, 0x11
NFT_MSG_NEWTABLE, NFT_MSG_GETTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN = 0, 1, 2, 3
NFT_MSG_GETCHAIN, NFT_MSG_NEWRULE = 4, 6

NFTA_TABLE_NAME, NFTA_TABLE_HANDLE, NFTA_TABLE_USERDATA = 1, 4, 6
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE = 1, 3, 4, 5, 7
NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY = 1, 2
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS = 1, 2, 4
NFTA_LIST_ELEM = 1
#: Of libnftnl's udata.h: the kernel keeps user data and never reads it.
NFTNL_UDATA_TABLE_COMMENT = 0
NLA_F_NESTED = 0x8000

NF_DROP, NF_ACCEPT = 0, 1
#: Numbers of families, and their words in nft(8).
NFPROTO_UNSPEC, NFPROTO_INET, FAMILIES = 0, 1, {1: "inet", 2: "ip", 10: "ip6"}
#: Name -> number of a hook (enum nf_inet_hooks).
HOOKS = {"prerouting": 0, "forward": 2, "output": 3, "postrouting": 4}
#: Priorities of <linux/netfilter_ipv4.h>.
NAT_DESTINATION, FILTER, NAT_SOURCE = -100, 0, 100

#: Of <asm-generic/socket.h>; bytes below every net.core.wmem_default that there is.
SO_SNDBUFFORCE, _ALWAYS_FITS = 32, 32768

#: struct nfgenmsg.
_GENERAL = struct.Struct(">BBH")


class Table(Record):
    """A table of family inet. ``handle`` is a number that no other table of this boot has; ``comment`` may be ""."""

    name: str
    handle: int
    comment: str


class Message(Record):
    """One step of a transaction; ``where`` is what an error says that it is about."""

    kind: int
    flags: int
    body: bytes
    where: str


class NfTables(NetlinkSocket):
    """The tables of the calling thread's network namespace; see NetlinkSocket."""

    def __init__(self, deadline: float) -> None:
        super().__init__(NETLINK_NETFILTER, deadline)

    def table(self, name: str) -> Table | None:
        """The inet table of that name, None if there is none."""
        body = text(NFTA_TABLE_NAME, name)
        try:
            answers = self._ask(NFT_MSG_GETTABLE, NLM_F_ACK, body, name)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return _table(answers[-1])

    def tables(self) -> list[Table]:
        """All inet tables; one that comes or goes meanwhile may be missing or there, and no other is.

        Raises:
            DeadlineExceeded: they change all the time.
        """
        while True:
            self._interrupted = False
            answers = self._ask(NFT_MSG_GETTABLE, NLM_F_DUMP, b"", "")
            if not self._interrupted:
                return [_table(answer) for answer in answers]
            if time.monotonic() > self._deadline:
                raise DeadlineExceeded("cannot list nftables", why="they change all the time")

    def chains_that_drop_forwarded(self) -> list[str]:
        """The chains that drop what is forwarded unless a rule of theirs accepts it: ``"ip filter FORWARD"``."""
        found = []
        for answer in self._ask(NFT_MSG_GETCHAIN, NLM_F_DUMP, b"", "", family=NFPROTO_UNSPEC):
            values = attributes(answer, HEADER.size + _GENERAL.size)
            hook = attributes(values.get(NFTA_CHAIN_HOOK, b"")).get(NFTA_HOOK_HOOKNUM)
            family = FAMILIES.get(answer[HEADER.size], "")
            if family and hook == number(HOOKS["forward"]) and values.get(NFTA_CHAIN_POLICY) == number(NF_DROP):
                table, chain = (values[key].rstrip(b"\0") for key in (NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME))
                found.append(f"{family} {table.decode(errors='replace')} {chain.decode(errors='replace')}")
        return found

    def commit(self, what: str, steps: Sequence[Message]) -> None:
        """Do all the steps, or none of them.

        Raises:
            KernelError: the kernel refused; EEXIST with the name of a table that exists.
        """
        batch = struct.pack(">BBH", 0, 0, NFNL_SUBSYS_NFTABLES)
        parts = [HEADER.pack(len(batch) + HEADER.size, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, self.next_sequence(), 0)]
        parts.append(batch)
        for step in steps:
            # One acknowledgement: those of some hundred steps would not fit into the socket. Refusals come unasked.
            acknowledge = NLM_F_ACK if step is steps[-1] else 0
            parts.append(self._message(step.kind, acknowledge | step.flags, step.body))
        # The end is never answered, and so has no number of its own: the last step's answer is the last.
        parts += [HEADER.pack(len(batch) + HEADER.size, NFNL_MSG_BATCH_END, NLM_F_REQUEST, 0, 0), batch]
        data = b"".join(parts)
        self._make_room(len(data))
        # A refusal of the whole batch comes under the number of its beginning.
        self.exchange(data, what, [steps[0].where, *(step.where for step in steps)])

    def _make_room(self, size: int) -> None:
        """A transaction is one datagram, for which the buffer of a socket has room for some dozens of ports' rules."""
        import socket

        if size < _ALWAYS_FITS:
            return
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * size)
        except PermissionError:  # root of a user namespace: as much as net.core.wmem_max allows
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * size)

    def _ask(self, kind: int, flags: int, body: bytes, where: str, family: int = NFPROTO_INET) -> list[bytes]:
        return self.exchange(self._message(kind, flags, body, family), "cannot look up nftables", [where])

    def _message(self, kind: int, flags: int, body: bytes, family: int = NFPROTO_INET) -> bytes:
        body = _GENERAL.pack(family, 0, 0) + body
        kind |= NFNL_SUBSYS_NFTABLES << 8
        return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, self.next_sequence(), 0) + body


def new_table(name: str, comment: str) -> Message:
    """Makes a table; it must not exist."""
    value = comment.encode() + b"\0"
    udata = struct.pack("=BB", NFTNL_UDATA_TABLE_COMMENT, len(value)) + value
    body = text(NFTA_TABLE_NAME, name) + attribute(NFTA_TABLE_USERDATA, udata)
    return Message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, body, name)


def delete_table(table: Table) -> Message:
    """Deletes this table with all that is in it, and no other one that has its name by now."""
    return Message(NFT_MSG_DELTABLE, 0, attribute(NFTA_TABLE_HANDLE, struct.pack(">Q", table.handle)), table.name)


def new_chain(table: str, hook: str, kind: str, priority: int) -> Message:
    """Makes the chain of a hook; ``kind`` is "filter" or "nat"; what no rule decides passes."""
    where = attribute(NFTA_HOOK_HOOKNUM, number(HOOKS[hook])) + attribute(NFTA_HOOK_PRIORITY, number(priority))
    body = text(NFTA_CHAIN_TABLE, table) + text(NFTA_CHAIN_NAME, hook) + nested(NFTA_CHAIN_HOOK, where)
    body += text(NFTA_CHAIN_TYPE, kind) + attribute(NFTA_CHAIN_POLICY, number(NF_ACCEPT))
    return Message(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, body, f"{table} {hook}")


def new_rule(table: str, hook: str, *expressions: bytes) -> Message:
    """Appends a rule to the chain of a hook; the expressions are nft_expressions.py's."""
    listed = b"".join(nested(NFTA_LIST_ELEM, expression) for expression in expressions)
    body = text(NFTA_RULE_TABLE, table) + text(NFTA_RULE_CHAIN, hook) + nested(NFTA_RULE_EXPRESSIONS, listed)
    return Message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, body, f"{table} {hook}")


def attribute(kind: int, value: bytes) -> bytes:
    """A netlink attribute."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, value: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, value)


def text(kind: int, value: str) -> bytes:
    """An attribute that is a string."""
    return attribute(kind, value.encode(errors="surrogateescape") + b"\0")


def number(value: int) -> bytes:
    """32 bits in network byte order, as nearly all numbers of nf_tables are."""
    return struct.pack(">i", value)


def _table(answer: bytes) -> Table:
    found = attributes(answer, HEADER.size + _GENERAL.size)
    name = found[NFTA_TABLE_NAME].rstrip(b"\0").decode(errors="surrogateescape")
    (handle,) = struct.unpack(">Q", found[NFTA_TABLE_HANDLE])
    return Table(name, handle, _comment(found.get(NFTA_TABLE_USERDATA, b"")))


def _comment(udata: bytes) -> str:
    """The comment among the type-length-value entries that nft keeps in user data."""
    offset = 0
    while offset + 2 <= len(udata):
        kind, length = udata[offset], udata[offset + 1]
        if kind == NFTNL_UDATA_TABLE_COMMENT:
            return udata[offset + 2 : offset + 2 + length].rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""
