"""A cgroup manager on top of another: no container without a limit of its memory."""

import corelaunch.api as api

corelaunch_api = 1


class Limited:
    def __init__(self):
        self._files = api.load_manager("cgroup_manager", "cgroupfs")

    def __getattr__(self, name):
        return getattr(self._files, name)

    def place(self, request):
        if (request.resources.get("memory") or {}).get("limit", -1) < 0:
            raise api.ConfigError("memory must be limited", where="linux.resources.memory.limit", why="it is not set")
        return self._files.place(request)


@api.hookimpl
def corelaunch_cgroup_manager():
    return Limited()
