"""Who is measured: each subject knows its command line for each verb."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle import PAYLOAD, Bundle, hierarchies

CHECKOUT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Runtime:
    """An OCI runtime.

    Attributes:
        name: as in the table.
        command: path and global options.
        root: its state root.
    """

    name: str
    command: tuple[str, ...]
    root: str

    def verb(self, *words: str) -> list[str]:
        """Command line of a verb."""
        return [*self.command, "--root", self.root, *words]

    def run(self, bundle: Bundle, container_id: str) -> list[str]:
        """Command line of ``run``."""
        return self.verb("run", "--bundle", str(bundle.path), container_id)


def corelaunch(directory: Path) -> Runtime:
    """The checkout's installed command ($CORELAUNCH overrides it)."""
    command = os.environ.get("CORELAUNCH", str(CHECKOUT / ".venv/bin/corelaunch"))
    return Runtime("corelaunch", tuple(command.split()), str(directory / "state-corelaunch"))


def runc(directory: Path) -> Runtime:
    """Debian's runc, the comparator of every goal.

    Raises:
        FileNotFoundError: it is not installed.
    """
    path = shutil.which("runc", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if path is None:
        raise FileNotFoundError("runc: apt-get install runc")
    return Runtime("runc", (path,), str(directory / "state-runc"))


def crun(directory: Path) -> Runtime | None:
    """Debian's crun, if it is installed. It refuses a hybrid host: only to be used within :mod:`v1_view`."""
    path = shutil.which("crun")
    return Runtime("crun", (path,), str(directory / "state-crun")) if path else None


def bwrap(bundle: Bundle) -> list[str] | None:
    """bubblewrap with namespaces and mounts as near to the bundle as it can; it knows no cgroups."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    kernel = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--hostname", "runc", "--new-session"]
    mounts = [
        "--ro-bind",
        str(bundle.path / "rootfs"),
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--mqueue",
        "/dev/mqueue",
    ]
    return [path, *kernel, *mounts, "--ro-bind", "/sys", "/sys", "--cap-drop", "ALL", *PAYLOAD]


def bare(bundle: Bundle, directory: Path, program: Sequence[str] = PAYLOAD) -> list[str] | None:
    """The kernel's own share, compiled from bare.c with musl; None without musl-gcc."""
    binary = directory / "bare"
    if not binary.exists():
        if shutil.which("musl-gcc") is None:
            return None
        headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
        source = str(Path(__file__).with_name("bare.c"))
        subprocess.run(["musl-gcc", "-static", "-O2", *headers, "-o", str(binary), source], check=True)
    return [str(binary), str(bundle.path), bundle.cgroup, *hierarchies(), "--", *program]


def interpreter() -> str:
    """Path of the Python beside the corelaunch command: the one that has it installed."""
    command = os.environ.get("CORELAUNCH", str(CHECKOUT / ".venv/bin/corelaunch")).split()[0]
    beside = Path(command).with_name("python")
    return str(beside if beside.exists() else CHECKOUT / ".venv/bin/python")


def interpreter_text() -> str:
    """Which Python that is: the file behind its links, and its version."""
    out = subprocess.run(
        [interpreter(), "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=True
    )
    return f"{os.path.realpath(interpreter())} {' '.join(out.stdout.split())}"
