"""What is in each picture: the commands' own tables and texts, of containers that never were.

Nothing is asked of the host, so the pictures are the same everywhere, and change only with what they show.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corelaunch import __version__
from corelaunch.api import CgroupPlacement
from corelaunch.backends import Backends, Placed
from corelaunch.cli import doctor, list, plan, plugins, ps
from corelaunch.cli.screen import Screen
from corelaunch.cli.top_table import frame
from corelaunch.cli.waterfall import waterfall
from corelaunch.default_config import default_config
from corelaunch.doctor import Check
from corelaunch.kernel.mountinfo import Hierarchy
from corelaunch.plan.init_plan import init_plan
from corelaunch.plugins.inspection import Found
from corelaunch.preparation import Prepared
from corelaunch.spec.check import find
from corelaunch.trace_file import read
from corelaunch.usage import Usage

HERE = Path(__file__).resolve().parent

COLUMNS, WIDE = 96, 116
SCREEN = Screen(is_terminal=True, columns=COLUMNS, rows=16, colours=True)
#: 2026-01-02T10:15:30Z
NOW = 1767348930.0
DAY = "2026-01-02T"


def prompt(words: str) -> str:
    """The line that the operator typed."""
    return f"\x1b[32m$\x1b[0m {words}\n"


def a_list() -> str:
    """A long path loses its beginning, and one with an escape sequence in its name is shown and not obeyed."""
    containers = (
        ("db-1", 3120, "running", "/srv/bundles/postgres", "08:00:00"),
        ("web-1", 4711, "running", "/var/lib/engine/overlay/7c1f0d9a/bundles/web-frontend/2026-01/web-1", "09:58:10"),
        ("web-2", 4790, "paused", "/var/lib/engine/overlay/7c1f0d9a/bundles/web-frontend/2026-01/web-2", "09:58:12"),
        ("job-7", 0, "stopped", "/srv/bundles/移行\x1b[8m", "10:12:30"),
    )
    states = [
        {"id": name, "pid": pid, "status": status, "bundle": bundle, "created": f"{DAY}{time}Z", "owner": "root"}
        for name, pid, status, bundle, time in containers
    ]
    return prompt("corelaunch list") + list.readable(states, NOW, SCREEN)


def a_ps() -> str:
    """The host's ps, for one container."""
    lines = (
        "UID          PID    PPID  C STIME TTY          TIME CMD",
        "33          4711    4690  0 09:58 ?        00:00:04 nginx: master process nginx -g daemon off;",
        "33          4733    4711  2 09:58 ?        00:00:21 nginx: worker process",
        "33          4734    4711  0 10:02 ?        00:00:00 php-fpm: pool www --config /etc/php/fpm/pool.d/www.conf",
    )
    return prompt("corelaunch ps web-1") + ps.readable(lines, SCREEN)


def found(kind: str, name: str, distribution: str, features: str, **more: Any) -> Found:
    """A plugin that is in order, but for ``more``."""
    fields = {"version": __version__, "api": 1, "health": "ok", "reason": "", "hint": "", "import_ms": 1.0, "path": "/"}
    return Found(kind=kind, name=name, distribution=distribution, features=features.split(), **{**fields, **more})


def a_plugins() -> str:
    """One of them cannot be loaded."""
    cgroups = "adopt cgroup-v1 cgroup-v2 devices freeze kill limits oom oom-events stats update"
    missing = "No module named 'site_policy'"
    rows = (
        found("cgroup_manager", "cgroupfs", "corelaunch-cgroupfs", cgroups),
        found("lifecycle", "audit", "corelaunch-audit", "moment"),
        found(
            "lifecycle",
            "policy",
            "site-policy",
            "",
            version="2.3",
            api=None,
            health="broken",
            reason=missing,
            hint="pip install --force-reinstall site-policy",
        ),
        found("network_strategy", "bridge", "corelaunch-netstrategies", "addresses attach dns mtu nat routes stats"),
        found("rdt_manager", "resctrl", "corelaunch-resctrl", "monitoring schemata stats"),
    )
    return prompt("corelaunch plugins") + plugins.readable(rows, SCREEN)


def a_doctor() -> str:
    """What is wrong, and what to do about it."""
    checks = [
        Check("kernel", "version", "ok", "6.1.0 (needed: 5.14)"),
        Check("kernel", "pressure figures", "ok", "there"),
        Check("cgroups", "version", "ok", "v2"),
        Check("cgroups", "delegation", "warn", "none to user 1000", "systemctl edit user@.service: Delegate=yes"),
        Check("installation", "corelaunch-init", "ok", "static, 48 kB"),
        Check("plugins", "policy", "fail", "No module named 'site_policy'", "pip install site-policy"),
        Check("state", "leftovers", "ok", "none among 4 containers"),
    ]
    return prompt("corelaunch doctor") + "".join(f"{line}\n" for line in doctor.lines(checks, SCREEN))


def a_plan() -> str:
    """Where what would be made, and what the init would do first."""
    config = copy.deepcopy(default_config())
    config["process"]["terminal"] = False
    unified = Hierarchy((), "/sys/fs/cgroup", "/", 2)
    paths = {"": "/sys/fs/cgroup/web-1"}
    operations = init_plan(
        config,
        "/srv/web/rootfs",
        cgroup_paths=paths,
        terminal=False,
        keyring="_ses.web-1",
        hierarchies=(unified,),
        kcore=True,
    )
    label = f"corelaunch-cgroupfs {__version__}"
    placed = Placed(
        "cgroup_manager:cgroupfs", "cgroup_manager", "cgroupfs", label, None, CgroupPlacement(paths), None
    )
    prepared = Prepared("web-1", "/srv/web", "/srv/web/rootfs", config, Backends(placed), operations, "_ses.web-1", ())
    lines = [*plan.as_text(prepared)]
    return prompt("corelaunch plan --bundle /srv/web web-1 | head -22") + "".join(f"{line}\n" for line in lines[:22])


def a_top() -> str:
    """Five containers: one is short of memory, one of CPU, one has lost its plugin."""
    rows = [
        used("db-1", "08:00:00", 12.5, 812, 2048, 41, read=3.1e5, written=4.2e6, io_pressure_percent=7.0),
        used("web-1", "09:58:10", 148.2, 356, 512, 18, written=8192.0, cpu_pressure_percent=21.0),
        used("web-2", "09:58:12", 0.0, 340, 512, 17, status="paused"),
        used("batch-7", "10:15:02", 97.9, 127, 128, 3, read=9.6e6, oom_kills=2, memory_pressure_percent=64.0),
        Usage("legacy", "running", f"{DAY}07:12:00Z", "no cgroup manager called 'site' is installed").as_dict(),
    ]
    sample = {"time": f"{DAY}10:15:30Z", "interval_s": 1.0, "containers": rows}
    lines = frame(sample, "cpu", 1.0, NOW, SCREEN.replace(columns=WIDE, rows=12))
    return "".join(f"{line}\n" for line in lines)


def used(
    name: str,
    time: str,
    cpu: float,
    memory: int,
    limit: int,
    pids: int,
    *,
    read: float = 0.0,
    written: float = 0.0,
    status: str = "running",
    **more: float,
) -> dict[str, Any]:
    """A row of ``top``; memory in MiB."""
    calm = {f"{kind}_pressure_percent": 0.0 for kind in ("cpu", "memory", "io")}
    figures = {
        "cpu_percent": cpu,
        "memory_bytes": memory << 20,
        "memory_limit_bytes": limit << 20,
        "pids": pids,
        "read_bytes_per_s": read,
        "written_bytes_per_s": written,
        "oom_kills": 0,
    }
    return Usage(name, status, f"{DAY}{time}Z").as_dict() | figures | calm | more


def an_error() -> str:
    """A config that is wrong in one place."""
    config = copy.deepcopy(default_config())
    config["process"]["cwd"] = "srv"
    config["linux"]["namespaces"].append({"type": "network"})
    error = find(config).errors[0]
    return prompt("corelaunch run --bundle /srv/web web-3") + f"corelaunch: {error}\n" + prompt("")


def a_trace() -> str:
    """A create that was recorded in trace.jsonl."""
    verb = read(str(HERE / "trace.jsonl"))[0]
    lines = waterfall(verb, COLUMNS, unicode=True, colours=True)
    return prompt("corelaunch trace create --network bridge:… --bundle /srv/web web") + "".join(
        f"{line}\n" for line in lines
    )


#: Name of a picture, what it shows, how wide it is.
SCENES: dict[str, tuple[Callable[[], str], str, int]] = {
    "list": (a_list, "corelaunch list on a terminal", COLUMNS),
    "ps": (a_ps, "corelaunch ps on a terminal", COLUMNS),
    "plugins": (a_plugins, "corelaunch plugins, one of which is broken", COLUMNS),
    "doctor": (a_doctor, "corelaunch doctor with a warning and a failure", COLUMNS),
    "plan": (a_plan, "the beginning of corelaunch plan", WIDE),
    "top": (a_top, "corelaunch top with five containers", WIDE),
    "error": (an_error, "an error line of corelaunch run", COLUMNS),
    "trace": (a_trace, "corelaunch trace: the time of each step of a create", COLUMNS),
}
