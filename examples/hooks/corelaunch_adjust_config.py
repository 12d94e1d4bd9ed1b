"""Every container has the site's certificates; what runs as root has no raw sockets."""

import corelaunch.api as api

corelaunch_api = 1


@api.hookimpl
def corelaunch_adjust_config(config):
    edits = [api.AddMount("/etc/ssl/certs", "/etc/ssl/certs", options=["ro", "nosuid", "nodev"])]
    if not (config.get("process") or {}).get("user", {}).get("uid"):
        edits.append(api.DropCapability("CAP_NET_RAW"))
    return edits
