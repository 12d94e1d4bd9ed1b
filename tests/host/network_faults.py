"""Failures and kill -9 around any request that a network strategy makes of the kernel."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from corelaunch_netstrategies.netlink_socket import NetlinkSocket

from corelaunch.api import Effect
from corelaunch.testing.network_host import EffectRecorder


class AtRequest:
    """Does something before or after the N-th request; use :meth:`install` in a process of its own, or a patch."""

    def __init__(self, number: int, act: Callable[[], None], *, before: bool) -> None:
        self.left, self.act, self.before = number, act, before
        self.exchange = NetlinkSocket.exchange

    def __call__(self, netlink: NetlinkSocket, *message: object) -> list[bytes]:
        self.left -= 1
        if self.left == 0 and self.before:
            self.act()
        try:
            return self.exchange(netlink, *message)  # type: ignore[arg-type]
        finally:
            if self.left == 0 and not self.before:
                self.act()


class Journal(EffectRecorder):
    """Writes effects to a pipe, which outlives the process."""

    __slots__ = ("_write",)

    def __init__(self, write: int) -> None:
        super().__init__(at_intend=lambda effect: self._put(effect))
        self._write = write

    def done(self, effect: Effect, **facts: object) -> Effect:
        confirmed = super().done(effect, **facts)
        self._put(confirmed)
        return confirmed

    def _put(self, effect: Effect) -> None:
        os.write(self._write, json.dumps(effect.as_dict()).encode() + b"\n")


def die_at_request(work: Callable[[EffectRecorder], object], number: int, *, before: bool) -> list[Effect]:
    """Do the work in a child that is killed at a request to the kernel; the effects that its journal holds then.

    Raises:
        AssertionError: it did not make that many requests.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            at_request = AtRequest(number, lambda: os.kill(os.getpid(), signal.SIGKILL), before=before)
            NetlinkSocket.exchange = lambda *arguments: at_request(*arguments)  # type: ignore[method-assign]
            work(Journal(write))
        finally:
            os._exit(1)
    os.close(write)
    effects: dict[int, Effect] = {}
    with open(read, "rb") as records:
        for line in records:
            effect = Effect(**json.loads(line))
            effects[effect.number] = effect
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), f"there is no request {number}"
    return [effect for effect in reversed(effects.values()) if effect.done or effect.absent]
