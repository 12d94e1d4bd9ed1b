"""OCI hooks: state JSON on standard input, a deadline, their output in the error, and none of them outlives a failure.

A hook is started blocked, through the gate of corelaunch-init, and journaled before it may run: so a kill -9 of
the runtime at any moment leaves either no hook or one that ``delete --force`` knows. It runs in its own process
group, with no environment but what config.json gives it (runtime-spec, config.md, POSIX-platform hooks), in the
bundle directory. Its output is read until it exits, not until its pipe closes: a descendant that keeps the pipe
must not hold the launch up.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIGKILL
from struct import unpack

from . import jsontext
from .api import ProcessHandle
from .errors import HookError, one_line
from .kernel import native, pidfd, procfs
from .spec.hooks import DEFAULT_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

#: Output beyond this is read and thrown away; a hook cannot fill our memory.
_OUTPUT_LIMIT = 64 << 10
_OUTPUT_IN_ERROR = 1024
_PORTION = 64 << 10
#: A pipe holds 64 KiB (pipe(7)), which one read may return in parts.
_PIPE_READS = 16
#: poll(2) takes milliseconds in an int, less than 25 days; a hook may be given more.
_LONGEST_POLL = 86400.0
#: From SIGKILL to the end.
_REAP_SECONDS = 10.0


def run(
    moment: str,
    hooks: Sequence[Mapping[str, Any]],
    state: Mapping[str, Any],
    bundle: str,
    announce: Callable[[ProcessHandle], None],
) -> None:
    """Run the hooks of one moment in their order; the first failure stops.

    Args:
        moment: its name in config.json ("prestart", "createRuntime", …), for the error.
        hooks: the hook objects, checked by ``corelaunch.spec``.
        state: the OCI state to give them.
        bundle: their working directory.
        announce: called with each hook's process while it is still blocked.

    Raises:
        HookError: it could not be started, failed, or ran into its deadline; ``where`` is its JSON path.
    """
    text = jsontext.dumps(state).encode()
    for number, hook in enumerate(hooks):
        _run_one(f"hooks.{moment}[{number}]", hook, text, bundle, announce)


def _run_one(
    where: str, hook: Mapping[str, Any], state: bytes, bundle: str, announce: Callable[[ProcessHandle], None]
) -> None:
    seconds = float(hook.get("timeout") or DEFAULT_SECONDS)
    process = _HookProcess(where, hook, state, bundle)
    try:
        announce(process.handle)
        process.release()
        status = process.finish(time.monotonic() + seconds)
        if status is None:
            raise HookError(f"hook {hook['path']} timed out", where=where, why=f"after {seconds:g} s{process.said()}")
        failure = process.exec_failure()
        if failure:
            raise HookError(f"cannot execute hook {hook['path']}", where=where, errno=failure)
        if status != 0:
            how = f"exit status {status}" if status < 128 else f"killed by signal {status - 128}"
            raise HookError(f"hook {hook['path']} failed", where=where, why=f"{how}{process.said()}")
    except BaseException:
        process.kill()
        raise
    finally:
        process.close()


class _HookProcess:
    """One hook: blocked at the gate, then running, then dead."""

    def __init__(self, where: str, hook: Mapping[str, Any], state: bytes, bundle: str) -> None:
        arguments = hook.get("args") or [hook["path"]]
        environment = hook.get("env") or []
        theirs: list[int] = []
        ours: list[int] = []
        try:
            theirs.append(executable := native.init_executable())
            theirs.append(stdin := native.sealed_memfd("oci-state", state))
            os.lseek(stdin, 0, os.SEEK_SET)
            self._output, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            ours.append(self._output)
            theirs.append(output)
            # Only our end may be non-blocking: a hook that fills the pipe must wait, not fail with EAGAIN.
            os.set_blocking(output, True)
            gate, self._gate = os.pipe2(os.O_CLOEXEC)
            ours.append(self._gate)
            theirs.append(gate)
            self._failure, failure = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            ours.append(self._failure)
            theirs.append(failure)
            theirs.append(cwd := os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            command = ["corelaunch-init", "hook", hook["path"], *arguments]
            pid, self._pidfd = native.spawn(
                executable,
                [os.fsencode(word) for word in command],
                [os.fsencode(word) for word in environment],
                [stdin, output, output, gate, failure, cwd],
                new_process_group=True,
            )
        except OSError as error:
            for fd in ours:
                os.close(fd)
            raise HookError(f"cannot start hook {hook['path']}", where=where, errno=error.errno or 0) from error
        finally:
            for fd in theirs:
                os.close(fd)
        self.handle = ProcessHandle(pid, procfs.start_time(pid), self._pidfd)
        self._said = b""

    def release(self) -> None:
        """Open the gate: from here on the hook runs."""
        os.write(self._gate, b"g")

    def finish(self, deadline: float) -> int | None:
        """Read output until the hook exits; its status, or None at the deadline."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        poller.register(self._output, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            ready = dict(poller.poll(min(left, _LONGEST_POLL) * 1000))
            if self._output in ready and not self._read_output():
                poller.unregister(self._output)
            if self._pidfd in ready:
                # What it wrote itself fits into the pipe; a descendant that goes on writing is not waited for.
                for _ in range(_PIPE_READS):
                    if not self._read_output():
                        break
                return pidfd.exit_status(self._pidfd)

    def exec_failure(self) -> int:
        """The errno of a failed execve, 0 if it was executed."""
        try:
            data = os.read(self._failure, 4)
        except BlockingIOError:
            return 0
        return int(unpack("=i", data)[0]) if len(data) == 4 else 0

    def said(self) -> str:
        """Its output as the tail of an error."""
        text = one_line(self._said.decode("utf-8", "replace"), _OUTPUT_IN_ERROR)
        return f", output: {text}" if text else ""

    def kill(self) -> None:
        """Kill its whole process group. It is not reaped before :meth:`close`, so the number is still its own."""
        try:
            os.killpg(self.handle.pid, SIGKILL)
        except ProcessLookupError:
            return  # nobody of it is left

    def close(self) -> None:
        """Reap it and close our ends."""
        pidfd.wait(self._pidfd, _REAP_SECONDS)
        for fd in (self._output, self._gate, self._failure, self._pidfd):
            os.close(fd)

    def _read_output(self) -> bool:
        """Take one portion of what is in the pipe; False at its end.

        One, because the hook may write faster than we read, and its deadline must be looked at in between.
        """
        try:
            data = os.read(self._output, _PORTION)
        except BlockingIOError:
            return True
        self._said = (self._said + data)[:_OUTPUT_LIMIT]
        return bool(data)
