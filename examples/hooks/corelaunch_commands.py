"""``corelaunch --plugin NAME count``: how many containers there are."""

import corelaunch.api as api

corelaunch_api = 1


def count(words, runtime):
    containers, broken = runtime.containers()
    print(len(containers) + len(broken), flush=True)
    return 0


@api.hookimpl
def corelaunch_commands():
    return [api.PluginCommand("count", "print how many containers there are", count)]
