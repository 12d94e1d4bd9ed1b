"""What systemd says of the units that clients ask a runtime for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cases import wait_until


def scope_of(pid: int) -> tuple[str, str]:
    """Slice and scope that a process is in, by systemd's own hierarchy."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            *above, scope = path.split("/")
            return "/".join(above), scope
    raise AssertionError("with-systemd hybrid mounts name=systemd")


def show(unit: str, name: str) -> str:
    """A property of a unit."""
    words = ["systemctl", "show", "--value", "-p", name, unit]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def wait_until_gone(unit: str) -> None:
    """Wait for a unit to be forgotten."""
    wait_until(lambda: show(unit, "LoadState") == "not-found", f"{unit} to be gone")


def failed() -> list[str]:
    """The units that failed."""
    words = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def stop(unit: str) -> None:
    """End a unit with all its processes."""
    subprocess.run(["systemctl", "stop", unit], check=True, capture_output=True)
