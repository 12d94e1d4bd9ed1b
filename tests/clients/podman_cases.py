"""What podman is asked to do over a runtime, in this order.

Not asked: checkpoint and restore, since corelaunch has neither and Debian's CRIU does not start on newer kernels;
what needs CAP_SYS_RESOURCE; AppArmor and SELinux labels. The systemd cgroup manager has
cases of its own, podman-systemd.
"""

from __future__ import annotations

import importlib

from podman_client import make_client

__all__ = ["make_client"]

for _part in ("podman_run", "podman_life", "podman_limits", "podman_files", "podman_process", "podman_namespaces"):
    importlib.import_module(_part)
