"""Packets that the network contract sends from where the calling thread is: frames nobody answers, and echoes."""

from __future__ import annotations

import socket
import struct
import time

#: RFC 792, RFC 4443: ICMP echo and its answer.
_ECHO, _ECHO_REPLY, _ECHO_6, _ECHO_REPLY_6 = 8, 0, 128, 129
_SECONDS_BETWEEN = 0.1


def send_frames(interface: str, count: int, size: int) -> None:
    """Send Ethernet frames of ``size`` bytes, broadcast, of a protocol that nobody speaks (IEEE 802: 0x88b5)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packet:
        packet.bind((interface, 0))
        for _ in range(count):
            packet.send(b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(size - 14))


def ping(address: str, *, seconds: float = 2.0) -> bool:
    """Send echoes to an address, and say whether the kernel there answered one within that time.

    Raises:
        OSError: there is no route.
    """
    six = ":" in address
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    end = time.monotonic() + seconds
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        while time.monotonic() < end:
            raw.sendto(_echo(six), (address, 0))
            if _answered(raw, address, six):
                return True
    return False


def _answered(raw: socket.socket, address: str, six: bool) -> bool:
    end = time.monotonic() + _SECONDS_BETWEEN
    while (left := end - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            packet, sender = raw.recvfrom(2048)
        except OSError:
            return False  # nobody, or an error of an echo before (no such neighbour)
        kind = packet[0 if six else (packet[0] & 15) * 4]
        if kind == (_ECHO_REPLY_6 if six else _ECHO_REPLY) and sender[0] == address:
            return True
    return False


def _echo(six: bool) -> bytes:
    echo = struct.pack("!BBHHH", _ECHO_6 if six else _ECHO, 0, 0, 0x434C, 1)
    if six:  # the kernel fills in ICMPv6 checksums only
        return echo
    checksum = 0xFFFF - sum(struct.unpack("!4H", echo)) % 0xFFFF
    return struct.pack("!BBHHH", _ECHO, 0, checksum, 0x434C, 1)
