"""A container that asks for it finds a directory for its core dumps, whatever its image has."""

import corelaunch.api as api

corelaunch_api = 1


@api.hookimpl
def corelaunch_adjust_plan(config):
    if (config.get("annotations") or {}).get("org.example.cores") != "true":
        return []
    return [api.MakeDirectory("/var/crash", 0o1777)]
