"""The expressions of nf_tables that NAT needs: what a rule compares, and what it does then.

Source: include/uapi/linux/netfilter/nf_tables.h. A comparison loads into register 1; registers hold 16 bytes, numbers
of the packet are in network byte order, those of conntrack and of the routing table in the machine's.
"""

from __future__ import annotations

import socket
import struct

from .cidr import parse_cidr
from .nftables import NF_ACCEPT, NF_DROP, attribute, nested, number, text

NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 2
NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE = 1, 2, 1
NFTA_DREG, NFTA_KEY = 1, 2
NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA = 1, 2, 3
NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN = 2, 3, 4
NFTA_BITWISE_SREG, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN, NFTA_BITWISE_MASK, NFTA_BITWISE_XOR = 1, 2, 3, 4, 5
NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA = 1, 2
NFTA_NAT_TYPE, NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_PROTO_MIN = 1, 2, 3, 5
NFTA_FIB_RESULT, NFTA_FIB_FLAGS = 2, 3

NFT_META_IIFNAME, NFT_META_OIFNAME, NFT_META_NFPROTO, NFT_META_L4PROTO = 6, 7, 15, 16
NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER = 1, 2
NFT_CT_STATE, NFT_CT_STATUS = 0, 2
NFT_CMP_EQ, NFT_CMP_NEQ = 0, 1
NFT_NAT_DNAT = 1
NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR = 3, 2
REG_VERDICT, REG_1, REG_2 = 0, 1, 2

#: include/uapi/linux/netfilter/nf_conntrack_common.h: bits of the state, and of the status.
ESTABLISHED, RELATED = 2, 4
IPS_DST_NAT = 1 << 5
RTN_LOCAL = 2
IFNAMSIZ = 16
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
#: Where the source address lies in an IPv4 and in an IPv6 header, and how long it is; the destination follows it.
_SOURCE = {socket.AF_INET: (12, 4), socket.AF_INET6: (8, 16)}


def _expression(name: str, data: bytes = b"") -> bytes:
    return text(NFTA_EXPR_NAME, name) + nested(NFTA_EXPR_DATA, data)


def _compare(value: bytes, operation: int = NFT_CMP_EQ) -> bytes:
    data = nested(NFTA_CMP_DATA, attribute(NFTA_DATA_VALUE, value))
    return _expression(
        "cmp", attribute(NFTA_CMP_SREG, number(REG_1)) + attribute(NFTA_CMP_OP, number(operation)) + data
    )


def _mask(mask: bytes) -> bytes:
    registers = attribute(NFTA_BITWISE_SREG, number(REG_1)) + attribute(NFTA_BITWISE_DREG, number(REG_1))
    length = attribute(NFTA_BITWISE_LEN, number(len(mask)))
    masks = nested(NFTA_BITWISE_MASK, attribute(NFTA_DATA_VALUE, mask))
    masks += nested(NFTA_BITWISE_XOR, attribute(NFTA_DATA_VALUE, bytes(len(mask))))
    return _expression("bitwise", registers + length + masks)


def _load(name: str, key: int) -> bytes:
    return _expression(name, attribute(NFTA_DREG, number(REG_1)) + attribute(NFTA_KEY, number(key)))


def _payload(base: int, offset: int, length: int) -> bytes:
    where = attribute(NFTA_PAYLOAD_BASE, number(base)) + attribute(NFTA_PAYLOAD_OFFSET, number(offset))
    size = attribute(NFTA_PAYLOAD_LEN, number(length))
    return _expression("payload", attribute(NFTA_DREG, number(REG_1)) + where + size)


def _interface(key: int, name: str, operation: int) -> list[bytes]:
    padded = name.encode(errors="surrogateescape").ljust(IFNAMSIZ, b"\0")
    return [_load("meta", key), _compare(padded, operation)]


def comes_from(name: str, *, unless: bool = False) -> list[bytes]:
    """``iifname NAME``; with ``unless`` it is ``iifname != NAME``."""
    return _interface(NFT_META_IIFNAME, name, NFT_CMP_NEQ if unless else NFT_CMP_EQ)


def goes_to(name: str, *, unless: bool = False) -> list[bytes]:
    """``oifname NAME``; with ``unless`` it is ``oifname != NAME``."""
    return _interface(NFT_META_OIFNAME, name, NFT_CMP_NEQ if unless else NFT_CMP_EQ)


def family(ipv6: bool) -> list[bytes]:
    """``meta nfproto ipv4`` or ``ipv6``."""
    return [_load("meta", NFT_META_NFPROTO), _compare(bytes([socket.AF_INET6 if ipv6 else socket.AF_INET]))]


def source_in(cidr: str) -> list[bytes]:
    """``ip saddr 10.0.0.0/24``, ``ip6 saddr fd00::/64``: packets from the subnet of an address."""
    of, host, prefix = parse_cidr(cidr)
    offset, length = _SOURCE[socket.AddressFamily(of)]
    mask = ((1 << prefix) - 1 << (length * 8 - prefix)).to_bytes(length, "big")
    network = bytes(a & b for a, b in zip(socket.inet_pton(of, host), mask, strict=True))
    loaded = _payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length)
    return [*family(of == socket.AF_INET6), loaded, _mask(mask), _compare(network)]


def is_not_for_loopback(ipv6: bool) -> list[bytes]:
    """``ip daddr != 127.0.0.0/8``, ``ip6 daddr != ::1``: packets to another address than the machine's loopback."""
    offset, length = _SOURCE[socket.AF_INET6 if ipv6 else socket.AF_INET]
    loopback = socket.inet_pton(socket.AF_INET6, "::1") if ipv6 else b"\x7f"
    loaded = _payload(NFT_PAYLOAD_NETWORK_HEADER, offset + length, len(loopback))
    return [loaded, _compare(loopback, NFT_CMP_NEQ)]


def is_for_this_host() -> list[bytes]:
    """``fib daddr type local``: packets to an address of this machine."""
    result = attribute(NFTA_FIB_RESULT, number(NFT_FIB_RESULT_ADDRTYPE))
    flags = attribute(NFTA_FIB_FLAGS, number(NFTA_FIB_F_DADDR))
    return [
        _expression("fib", attribute(NFTA_DREG, number(REG_1)) + result + flags),
        _compare(struct.pack("=I", RTN_LOCAL)),
    ]


def port(protocol: str, value: int) -> list[bytes]:
    """``tcp dport 80``."""
    loaded = _payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2)
    of = [_load("meta", NFT_META_L4PROTO), _compare(bytes([_PROTOCOLS[protocol]]))]
    return [*of, loaded, _compare(struct.pack(">H", value))]


def state(bits: int) -> list[bytes]:
    """``ct state established,related``."""
    return _any_bit(NFT_CT_STATE, bits)


def was_redirected() -> list[bytes]:
    """``ct status dnat``."""
    return _any_bit(NFT_CT_STATUS, IPS_DST_NAT)


def _any_bit(key: int, bits: int) -> list[bytes]:
    return [_load("ct", key), _mask(struct.pack("=I", bits)), _compare(bytes(4), NFT_CMP_NEQ)]


def accept() -> list[bytes]:
    """The verdict ``accept``: of this chain only, the packet goes on to those of other tables."""
    return [_verdict(NF_ACCEPT)]


def drop() -> list[bytes]:
    """The verdict ``drop``."""
    return [_verdict(NF_DROP)]


def _verdict(code: int) -> bytes:
    return _immediate(REG_VERDICT, nested(NFTA_DATA_VERDICT, attribute(NFTA_VERDICT_CODE, number(code))))


def _immediate(register: int, data: bytes) -> bytes:
    value = nested(NFTA_IMMEDIATE_DATA, data)
    return _expression("immediate", attribute(NFTA_IMMEDIATE_DREG, number(register)) + value)


def masquerade() -> list[bytes]:
    """The source address becomes the one of the interface that the packet leaves by."""
    return [_expression("masq")]


def redirect(host: str, value: int) -> list[bytes]:
    """``dnat to ADDRESS:PORT``."""
    of = socket.AF_INET6 if ":" in host else socket.AF_INET
    data = attribute(NFTA_NAT_TYPE, number(NFT_NAT_DNAT)) + attribute(NFTA_NAT_FAMILY, number(of))
    data += attribute(NFTA_NAT_REG_ADDR_MIN, number(REG_1)) + attribute(NFTA_NAT_REG_PROTO_MIN, number(REG_2))
    return [
        _immediate(REG_1, attribute(NFTA_DATA_VALUE, socket.inet_pton(of, host))),
        _immediate(REG_2, attribute(NFTA_DATA_VALUE, struct.pack(">H", value))),
        _expression("nat", data),
    ]
