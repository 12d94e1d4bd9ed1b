"""Lifecycle plugins that are bad guests in the process of the runtime, on purpose; see lifecycle_wrong.py."""

# ruff: noqa: D102 -- the hooks are documented in corelaunch.hookspecs; some mistakes are to print, or to catch all

from __future__ import annotations

import ctypes
import locale
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from corelaunch.api import ConfigEdit, Moment, SetEnv, hookimpl

from .lifecycle_reference import ReferenceLifecycle


class LeavesAThread(ReferenceLifecycle):
    """Sends its news in the background, with a thread for each of them that never ends."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class LeavesAZombie(ReferenceLifecycle):
    """Does something in a child, and forgets to wait for it."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "created" and os.fork() == 0:
            os._exit(0)


class NeedsManyFiles(ReferenceLifecycle):
    """Changes the limits of the process to its own needs; containers inherit them."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


class SpeaksAnotherLanguage(ReferenceLifecycle):
    """Sets the locale, so that errors of others read differently."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "created":
            locale.setlocale(locale.LC_CTYPE, "C" if locale.setlocale(locale.LC_CTYPE) != "C" else "C.UTF-8")


class SetsAnAlarm(ReferenceLifecycle):
    """Guards itself with a timer of the process, and forgets to stop it."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        signal.setitimer(signal.ITIMER_REAL, 3600)


class StepsBack(ReferenceLifecycle):
    """Lowers the priority of the process, and of all that it starts."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if os.getpriority(os.PRIO_PROCESS, 0) < 19:
            os.nice(1)


class ReapsEverybody(ReferenceLifecycle):
    """Waits for any child, as a daemon does, and so for those of others."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


class ClosesEverything(ReferenceLifecycle):
    """Closes all descriptors, as a daemon does when it starts."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            os.closerange(3, 256)


class AdoptsOrphans(ReferenceLifecycle):
    """Makes the process a subreaper, and leaves it one."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


class LogsToNobody(ReferenceLifecycle):
    """Logs, where nobody has set up a log: Python then writes to stderr."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        logging.getLogger(__name__).warning("%s is %s", moment.container_id, moment.name)


class Warns(ReferenceLifecycle):
    """Warns by ``warnings``, which writes to stderr."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "created":
            warnings.warn("the policy is out of date", stacklevel=1)


class LetsAProgramSpeak(ReferenceLifecycle):
    """Runs a program whose output goes where the container's goes."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "started":
            subprocess.run(["/bin/echo", moment.container_id], check=True)


class PatchesPython(ReferenceLifecycle):
    """Puts a function of its own in place of one that all use."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        before = os.unlink
        os.unlink = lambda *args, **more: before(*args, **more)


class CatchesWhatIsUncaught(ReferenceLifecycle):
    """Reports crashes of the whole program."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        sys.excepthook = lambda kind, error, trace: None


class HurriesSockets(ReferenceLifecycle):
    """Sets a timeout for its own socket, and so for all that are made later."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        socket.setdefaulttimeout(2)


class BequeathsItsLog(ReferenceLifecycle):
    """Keeps its log open, and every program that is started inherits it."""

    log = -1

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if self.log < 0:
            self.log = os.open("/dev/null", os.O_WRONLY)
            os.set_inheritable(self.log, True)


class LeaksWhenItFails(ReferenceLifecycle):
    """Opens something for each container, and closes it only when one is deleted."""

    def __init__(self) -> None:
        self.logs: dict[str, int] = {}

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            self.logs[moment.container_id] = os.open("/dev/null", os.O_WRONLY)
        elif moment.name == "deleted" and moment.container_id in self.logs:
            os.close(self.logs.pop(moment.container_id))


class ReadsStdin(ReferenceLifecycle):
    """Asks whoever sits there; what it reads was for the container."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "starting":
            os.read(0, 100)


class Hangs(ReferenceLifecycle):
    """Waits for an answer that does not come."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "started":
            time.sleep(1000)


class EndsTheProcess(ReferenceLifecycle):
    """Ends the whole process when it has nothing more to do."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "deleted":
            os._exit(0)


class Exits(ReferenceLifecycle):
    """Vetoes as a script would."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "executing":
            sys.exit("not today")


class SwallowsInterrupts(ReferenceLifecycle):
    """Lets nothing disturb it: Ctrl-C does not end what the user wanted to end."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        try:
            Path("/proc/self/loginuid").read_text()
        except:  # noqa: E722 -- that is the mistake
            pass


class NeedsItsDirectory(ReferenceLifecycle):
    """Has a path that means something in the directory in which it was tried."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            with open("cl-life.log", "a") as log:
                log.write("")
            Path("cl-life.log").unlink()


class NeedsTheEnvironment(ReferenceLifecycle):
    """Takes for granted what a login sets; engines start the runtime without it."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        return [SetEnv("CACHE", f"{os.environ['HOME']}/cache")]
