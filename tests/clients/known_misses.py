"""Cases that a client passes over runc and not over corelaunch, with the cause of each.

The table is exact: a case in it that passes makes test_clients.py fail, as one that fails without being in it does.
"""

from __future__ import annotations

#: Client -> case -> cause.
KNOWN_MISSES: dict[str, dict[str, str]] = {
    **{"podman": {}, "rootless": {}, "ctr": {}, "buildah": {}, "docker": {}},
    **{"podman-systemd": {}, "ctr-systemd": {}, "docker-systemd": {}},
}
