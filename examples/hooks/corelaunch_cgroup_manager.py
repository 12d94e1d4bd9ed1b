"""A cgroup manager on top of another: no container without a limit of its memory.

(The contract's own requests have none, so of this policy it can only say that it refuses.)
"""

import corelaunch.api as api

corelaunch_api = 1


class Limited(api.DelegatingCgroupManager):
    def place(self, request):
        if (request.resources.get("memory") or {}).get("limit", -1) < 0:
            raise api.ConfigError("memory must be limited", where="linux.resources.memory.limit", why="it is not set")
        return super().place(request)


@api.hookimpl
def corelaunch_cgroup_manager():
    return Limited(api.load_manager("cgroup_manager", "cgroupfs"))
