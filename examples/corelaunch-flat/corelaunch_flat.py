"""Cgroup manager ``flat``: each container in its own child of one cgroup directory, without limits."""

import os

import corelaunch.api as api

corelaunch_api = 1


class FlatCgroupManager(api.CgroupManager):
    def place(self, request):
        if request.path:
            raise api.ConfigError("flat chooses the path itself", where="linux.cgroupsPath", why=repr(request.path))
        for hierarchy in api.cgroup_hierarchies():
            if hierarchy.version == 2:
                return api.CgroupPlacement({"": f"{hierarchy.mountpoint}/flat-{request.container_id}"})
        raise api.Unsupported("flat needs cgroup v2", why="no unified hierarchy is mounted")

    def create(self, placement, request, process, ctx):
        ctx.directory("cgroup", placement.paths[""])

    def add_process(self, placement, process):
        path = f"{placement.paths['']}/cgroup.procs"
        try:
            with open(path, "w") as file:
                file.write(str(process.pid))
        except OSError as error:
            raise api.KernelError.of("cannot add process to cgroup", error, where=path) from error

    def processes(self, placement):
        pids = []
        for directory, _, _ in os.walk(placement.paths[""]):
            with open(f"{directory}/cgroup.procs") as file:
                pids += map(int, file)
        return pids

    def destroy(self, placement, effects):
        for effect in effects:
            path = effect.args["path"]
            if os.path.isdir(path) and effect.facts.get("ino", os.stat(path).st_ino) == os.stat(path).st_ino:
                try:
                    for directory, _, _ in os.walk(path, topdown=False):
                        os.rmdir(directory)
                except OSError as error:
                    raise api.KernelError.of("cannot remove cgroup", error, where=path) from error


@api.hookimpl
def corelaunch_cgroup_manager():
    return FlatCgroupManager()
