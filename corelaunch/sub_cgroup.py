"""``exec --cgroup``: a cgroup below the container's own, of all hierarchies or of some controllers.

The paths are those that the container's cgroup manager placed, with a path below appended: joining them is the
manager's, as always. The container cannot lead us out of its cgroup: ``..`` is resolved before anything is looked at,
and a cgroup filesystem has no symlinks.
"""

from __future__ import annotations

import os
from posixpath import normpath

from .backends import Backends
from .errors import ConfigError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """What ``--cgroup`` arguments say: path by controller, or one path under "" for all hierarchies.

    Args:
        arguments: ``path`` (once), or ``controller[,controller...]:path`` (any number).

    Raises:
        UsageError: anything else.
    """
    paths: dict[str, str] = {}
    for argument in arguments:
        controllers, colon, path = argument.partition(":")
        if not colon:
            if len(arguments) != 1:
                raise UsageError(f"invalid --cgroup argument: {argument}", why="missing <controller>: prefix")
            return {"": argument}
        for controller in controllers.split(","):
            if not controller:
                raise UsageError(f"invalid --cgroup argument: {argument}", why="empty <controller> prefix")
            if controller in paths:
                what = f"invalid --cgroup argument(s): controller {controller} specified multiple times"
                raise UsageError(what)
            paths[controller] = path
    return paths


def narrowed(backends: Backends, wanted: Mapping[str, str]) -> Backends:
    """The backends of a container, with its cgroup replaced by cgroups below it.

    Args:
        wanted: path by controller, as :func:`parse` gives them. A controller that is mounted together with a named
            one moves along.

    Raises:
        ConfigError: the container has no such controller, the path leads out, or there is no such cgroup.
    """
    cgroup = backends.cgroup
    if cgroup is None or not cgroup.placement.paths:
        raise ConfigError("cannot use --cgroup", why="the container has no cgroup")
    paths: dict[str, str] = dict(cgroup.placement.paths)
    if "" in wanted:
        _narrow_all(paths, wanted[""])
    else:
        _narrow_each(paths, wanted)
    placement = cgroup.placement.replace(paths=paths)
    return Backends(cgroup.replace(placement=placement), backends.rdt, backends.networks, falls_back=False)


def _narrow_all(paths: dict[str, str], below: str) -> None:
    for controller, base in list(paths.items()):
        path = _below(base, below)
        if controller == "" and len(paths) > 1 and not os.path.isdir(path):
            continue  # hybrid: the unified hierarchy has no controllers, and a cgroup there is nobody's concern
        paths[controller] = _existing(path)


def _narrow_each(paths: dict[str, str], wanted: Mapping[str, str]) -> None:
    bases = dict(paths)
    for controller, below in wanted.items():
        if controller not in bases or controller == "":
            known = ", ".join(sorted(filter(None, bases)))
            hint = f"its controllers are {known}" if known else "it has one hierarchy: leave the controller out"
            raise ConfigError(f"unknown controller {controller} in --cgroup", hint=hint)
        path = _existing(_below(bases[controller], below))
        for other, base in bases.items():
            if other and os.path.samefile(base, bases[controller]):
                if other in wanted and _below(base, wanted[other]) != _below(base, below):
                    raise ConfigError(f"controllers {controller} and {other} are mounted together", where="--cgroup")
                paths[other] = path


def _below(base: str, path: str) -> str:
    full = normpath(f"{base}/{path.lstrip('/')}")
    if full != base and not full.startswith(base + "/"):
        raise ConfigError(f"bad sub cgroup path: {path}", why="it leads out of the container's cgroup")
    return full


def _existing(path: str) -> str:
    if not os.path.isdir(path):
        raise ConfigError("no such cgroup", where=path, hint="--cgroup takes one that exists below the container's")
    return path
