"""What of a process belongs to whoever uses the API: a plugin leaves it as it was."""

from __future__ import annotations

import builtins
import ctypes
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

#: prctl(2).
_PR_GET_CHILD_SUBREAPER = 37
#: Lines of /proc/PID/status (proc(5)) that no plugin has any business with.
_STATUS = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Cpus_allowed", "NSsid")
_STREAMS = ("stdin", "stdout", "stderr", "excepthook", "displayhook", "unraisablehook")


def surroundings() -> dict[str, Any]:
    """The process as others see and use it."""
    umask = os.umask(0)
    os.umask(umask)
    subreaper = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(subreaper), 0, 0, 0)
    limits = {name: value for name, value in vars(resource).items() if name.startswith("RLIMIT_")}
    spaces = "/proc/thread-self/ns"
    found: dict[str, Any] = {
        "working directory": os.readlink("/proc/self/cwd"),
        "umask": oct(umask),
        "environment": dict(os.environ),
        "signal handlers": {number: signal.getsignal(number) for number in sorted(signal.valid_signals())},
        "signal mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timers": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "import path": list(sys.path),
        "limits": {name: resource.getrlimit(number) for name, number in limits.items()},
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "process group": os.getpgid(0),
        "child subreaper": subreaper.value,
        "namespaces": {name: os.readlink(f"{spaces}/{name}") for name in os.listdir(spaces)},
        "oom_score_adj": Path("/proc/self/oom_score_adj").read_text(),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (logging.getLogger().level, list(logging.getLogger().handlers), logging.root.manager.disable),
        "sockets' timeout": socket.getdefaulttimeout(),
        "recursion limit": sys.getrecursionlimit(),
        "threads' exceptions": threading.excepthook,
        **{f"sys.{name}": getattr(sys, name) for name in _STREAMS},
    }
    lines = Path("/proc/self/status").read_text().splitlines()
    found |= {name: words for name, _, words in (line.partition(":") for line in lines) if name in _STATUS}
    return found


def changed(before: dict[str, Any]) -> list[str]:
    """What of the surroundings is not any more what it was."""
    after = surroundings()
    return [what for what in before if before[what] != after[what]]


def functions() -> dict[str, int]:
    """The functions and classes of Python and of corelaunch that all in the process share, by their names."""
    shared = ("os", "subprocess", "socket", "signal", "time", "corelaunch")
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in shared and module}
    found = {f"builtins.{name}": id(value) for name, value in vars(builtins).items() if callable(value)}
    for module, content in modules.items():
        if not module.startswith("corelaunch.testing"):
            found |= {f"{module}.{name}": id(value) for name, value in list(vars(content).items()) if callable(value)}
    return found


def children() -> set[str]:
    """Pids of this process's children, threads' included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set((task / "children").read_text().split())
    return found


def added(before: dict[int, str], after: dict[int, str]) -> list[str]:
    """What the descriptors lead to that are open now and were not; [] if there are no more of them than before."""
    new = [path for fd, path in sorted(after.items()) if fd not in before]
    return new if len(after) > len(before) else []


def descriptors() -> dict[int, str]:
    """Open descriptors, and what each leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one that listed them
            continue
    return found
