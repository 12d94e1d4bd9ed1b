"""A runtime whose ``delete --force`` forgets one kind of resource: what the harness has to catch.

    python leaky_runtime.py KIND --root DIR create --bundle BUNDLE ID
    python leaky_runtime.py KIND --root DIR delete --force ID

KIND is what is left behind (process, cgroup, mount, link, file, fifo), or "nothing". The container is a sleeping
process, one cgroup in each hierarchy, a mount, a veth pair and a state directory with a FIFO.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "host"))
import residue
from rig import link_name


def create(state: Path, container_id: str) -> None:
    state.mkdir()
    os.mkfifo(state / "start")
    for mountpoint in residue.cgroup_mounts():
        os.mkdir(f"{mountpoint}/{container_id}")
    (state / "mnt").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "leaky", str(state / "mnt")], check=True)
    subprocess.run(["ip", "link", "add", link_name(container_id), "type", "veth"], check=True)
    process = subprocess.Popen(
        ["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    (state / "pid").write_text(str(process.pid))


def delete(state: Path, container_id: str, kind: str) -> None:
    if not state.exists():
        return
    if kind != "process":
        os.kill(int((state / "pid").read_text()), signal.SIGKILL)
    if kind != "cgroup":
        for mountpoint in residue.cgroup_mounts():
            os.rmdir(f"{mountpoint}/{container_id}")
    if kind != "link":
        subprocess.run(["ip", "link", "del", link_name(container_id)], check=True)
    if kind != "mount":
        subprocess.run(["umount", str(state / "mnt")], check=True)
        os.rmdir(state / "mnt")
    (state / "pid").unlink()
    if kind != "fifo":
        (state / "start").unlink()
    if kind not in ("mount", "fifo", "file"):
        state.rmdir()


def main() -> None:
    kind, _, root, verb = sys.argv[1:5]
    container_id = sys.argv[-1]
    state = Path(root) / container_id
    if verb == "create":
        create(state, container_id)
    elif verb == "delete":
        delete(state, container_id, kind)


if __name__ == "__main__":
    main()
