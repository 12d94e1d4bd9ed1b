"""CORELAUNCH_TRACE_PLUGINS: each call of a plugin is told with its time, whichever way it goes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corelaunch.api import CgroupRequest, Moment
from corelaunch.plugins.guard import no_log
from corelaunch.plugins.lifecycle_hooks import observe_all
from corelaunch.plugins.registry import Registry
from corelaunch.plugins.tracing import TracingGuard
from corelaunch.runtime import Runtime

Install = Callable[..., Path]

MANAGER = """
from corelaunch.api import CgroupManager, CgroupPlacement, ConfigError, hookimpl
corelaunch_api = 1
class Manager(CgroupManager):
    create = add_process = processes = destroy = lambda *_: None
    def place(self, request):
        if request.path:
            raise ConfigError("no")
        return CgroupPlacement({})
@hookimpl
def corelaunch_cgroup_manager():
    return Manager()
"""
OBSERVER = """
from corelaunch.api import hookimpl
corelaunch_api = 1
@hookimpl
def corelaunch_moment(moment): pass
"""
MILLISECONDS = re.compile(r"\d+\.\d{3} ms")


def told(lines: list[str]) -> list[str]:
    return [MILLISECONDS.sub("T", line) for line in lines]


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def guard(lines: list[str]) -> TracingGuard:
    return TracingGuard(no_log, 30.0, lines.append)


def test_import_factory_and_methods_of_a_backend_are_told(
    install: Install, guard: TracingGuard, lines: list[str]
) -> None:
    manager = Registry([str(install("mine", MANAGER))], guard=guard).load("cgroup_manager", "mine")
    manager.place(CgroupRequest("demo"))
    with pytest.raises(Exception, match="no"):
        manager.place(CgroupRequest("demo", path="/x"))
    assert told(lines) == [
        "cgroup manager 'mine': import: T",
        "cgroup_manager:mine: corelaunch_cgroup_manager: T",
        "cgroup_manager:mine: place: T",
        "cgroup_manager:mine: place: T, ConfigError",
    ]


@pytest.mark.parametrize("pluggy", [False, True], ids=["direct", "pluggy"])
def test_hooks_are_told_on_either_way(install: Install, guard: TracingGuard, lines: list[str], pluggy: bool) -> None:
    site = install("watch", OBSERVER, kind="lifecycle")
    registry = Registry([str(site)], guard=guard, pluggy=pluggy)
    observe_all(registry, [("watch", "")], Moment("created", "demo", "/b", "", "created"), up=True)
    assert told(lines) == [
        "lifecycle plugin 'watch': import: T",
        "lifecycle plugin 'watch': moment 'created': T",
    ]


def test_a_program_says_where_the_lines_go(install: Install, tmp_path: Path, lines: list[str]) -> None:
    site = install("mine", MANAGER)
    runtime = Runtime(str(tmp_path / "root"), trace_plugins=lines.append)
    runtime.registry = Registry([str(site)], guard=runtime.guard)
    runtime.registry.load("cgroup_manager", "mine")
    assert len(lines) == 2


@pytest.mark.parametrize("value", ["", "0", None, "1"])
def test_the_command_tells_stderr_if_asked_and_imports_nothing_if_not(value: str | None) -> None:
    program = (
        "import sys\nfrom corelaunch.cli.command import Call\nfrom corelaunch.log import Log\n"
        "from corelaunch.cli.plugins import COMMAND\n"
        "call = Call(COMMAND, [], program='corelaunch', settings={}, log=Log())\n"
        "assert call._watchdog(5.0)('cgroup_manager:mine', 'place', int, '7') == 7\n"
        "sys.exit(3 if 'corelaunch.plugins.tracing' in sys.modules else 0)\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)} | (
        {} if value is None else {"CORELAUNCH_TRACE_PLUGINS": value}
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False, env=environment, timeout=30
    )
    asked = value == "1"
    assert done.returncode == (3 if asked else 0), done.stderr
    assert told([done.stderr]) == (["corelaunch: trace: cgroup_manager:mine: place: T\n"] if asked else [""])


def test_a_stderr_that_nobody_reads_stops_nothing() -> None:
    program = (
        "import os\nfrom corelaunch.log import Log\nfrom corelaunch.plugins.tracing import TracingWatchdog\n"
        "guard = TracingWatchdog(Log(), 1, 5.0)\nos.close(2)\nassert guard('a', 'b', int, '7') == 7\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-P", "-c", program], check=True, env=environment, timeout=30)


@pytest.mark.parametrize(
    ("label", "plugin"),
    [
        ("cgroup manager 'mine'", "cgroup_manager:mine"),
        ("cgroup_manager:mine", "cgroup_manager:mine"),
        ("network strategy 'a b'", "network_strategy:a b"),
        ("lifecycle plugin 'audit'", "lifecycle:audit"),
    ],
)
def test_a_traced_command_has_a_step_for_each_call_of_a_plugin_under_one_name(label: str, plugin: str) -> None:
    program = (
        "import sys\nfrom corelaunch.log import Log\nfrom corelaunch.plugins.tracing import TracingWatchdog\n"
        "from corelaunch.verb_trace import VerbTrace\ntrace = VerbTrace('run')\n"
        "guard = TracingWatchdog(Log(), 1, 5.0, tells=False, trace=trace)\n"
        "assert guard(sys.argv[1], 'place', int, '7') == 7\n"
        "try:\n    guard(sys.argv[1], 'place', int, 'seven')\nexcept ValueError:\n    pass\n"
        "print([(step.name, step.plugin, step.failed) for step in trace.entries])"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, label], capture_output=True, text=True, env=environment, timeout=30
    )
    assert (done.stdout, done.stderr) == (f"{[('place', plugin, ''), ('place', plugin, 'ValueError')]}\n", "")
