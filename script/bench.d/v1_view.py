"""A mount namespace with only the v1 hierarchies, for crun, which refuses a hybrid host; and the samples taken there.

    unshare --mount --propagation private python v1_view.py

The view is made once; each line of input is a JSON command, each line of output its wall and CPU time. So the
measured time holds the runtime and not the making of the view.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bundle import hierarchies
from measure import CommandFailed, Sample, measure


class View:
    """The caller's side."""

    def __init__(self) -> None:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, command: list[str], *, code: int = 0) -> Sample:
        """As :func:`measure.measure`, in the view."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, code]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the view is gone"}')
        if "error" in answer:
            raise CommandFailed(answer["error"])
        return Sample(**answer)

    def close(self) -> None:
        """End the namespace."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def hide_unified() -> None:
    """Cover /sys/fs/cgroup with a tmpfs that holds only the v1 hierarchies."""
    v1 = hierarchies(v1_only=True)
    kept = "/run/cl-f-v1-view"
    os.makedirs(kept, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "v1-view", kept], check=True)
    for mountpoint in v1:
        target = f"{kept}/{os.path.basename(mountpoint)}"
        os.mkdir(target)
        subprocess.run(["mount", "--bind", mountpoint, target], check=True)
    subprocess.run(["umount", "--recursive", "--lazy", "/sys/fs/cgroup"], check=True)
    subprocess.run(["mount", "--move", kept, "/sys/fs/cgroup"], check=True)
    os.rmdir(kept)


def main() -> None:
    """Make the view and serve requests."""
    hide_unified()
    for line in sys.stdin:
        command, code = json.loads(line)
        try:
            sample = measure(command, code=code)
            print(json.dumps({"wall": sample.wall, "cpu": sample.cpu}), flush=True)
        except (CommandFailed, OSError) as error:
            print(json.dumps({"error": str(error)}), flush=True)


if __name__ == "__main__":
    main()
