"""Cases that a client passes over runc and not over corelaunch, with the cause of each.

The table is exact: a case in it that passes makes test_clients.py fail, as one that fails without being in it does.
"""

from __future__ import annotations

_PATHS = "namespaces cannot be joined by path yet"

KNOWN_MISSES: dict[str, dict[str, str]] = {
    "podman": {
        "network-of-a-container": _PATHS,
        "network-by-path": _PATHS,
        "network-bridge": _PATHS,
        "network-port": _PATHS,
        "ipc-of-a-container": _PATHS,
        "pid-of-a-container": _PATHS,
        "userns-of-a-container": _PATHS,
        "pod": _PATHS,
        "pod-share-pid": _PATHS,
        "pod-stop-start-pause": _PATHS,
        "kube-play": _PATHS,
        "documented-lines": _PATHS,
    },
    "rootless": {
        "network-of-a-container": _PATHS,
        "pod": _PATHS,
        "network-by-slirp4netns": _PATHS,
    },
    "ctr": {
        "shared-pid-namespace-leaves-nobody": _PATHS,
        "network-by-path": _PATHS,
        "ipc-of-another": _PATHS,
        "uts-and-network-of-another": _PATHS,
        "pid-of-another": _PATHS,
    },
    "buildah": {"run-network-by-path": _PATHS},
    "docker": {
        "network-of-a-container": _PATHS,
        "pid-and-ipc-of-a-container": _PATHS,
    },
}
