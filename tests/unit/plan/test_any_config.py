"""Whatever a config holds, checking and planning it ends in a plan or in an error of ours."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from corelaunch.default_config import default_config
from corelaunch.errors import CorelaunchError
from corelaunch.kernel.mountinfo import Hierarchy
from corelaunch.plan import setns_plan
from corelaunch.plan.init_plan import init_plan
from corelaunch.spec.check import check_config, find
from corelaunch.spec.process import check_process

#: Every section is there, so that there is something to damage in each.
FULL: dict[str, Any] = {
    **default_config(terminal=True),
    "domainname": "x",
    "annotations": {"a.b": "c"},
    "hooks": {"prestart": [{"path": "/x", "args": ["x"], "env": ["A=1"], "timeout": 1}]},
}
FULL["process"] |= {
    "consoleSize": {"height": 1, "width": 1},
    "oomScoreAdj": 1,
    "scheduler": {"policy": "SCHED_BATCH", "nice": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
    "user": {"uid": 0, "gid": 0, "umask": 1, "additionalGids": [1]},
}
FULL["mounts"].append({"destination": "/b", "source": "/x", "options": ["rbind", "ro", "rslave"]})
FULL["linux"] |= {
    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 9}],
    "gidMappings": [{"containerID": 0, "hostID": 1, "size": 9}],
    "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 2, "fileMode": 3, "uid": 4, "gid": 5}],
    "cgroupsPath": "/x",
    "sysctl": {"net.core.somaxconn": "1"},
    "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}},
    "intelRdt": {"closID": "x", "schemata": ["MB:0=1"]},
    "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": []},
    "personality": {"domain": "LINUX", "flags": []},
    "seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}
        ],
    },
    "resources": {
        "memory": {"limit": 1},
        "cpu": {"shares": 1},
        "pids": {"limit": 1},
        "unified": {"a.b": "c"},
        "devices": [{"allow": True, "access": "r"}],
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
    },
}
FULL["linux"]["namespaces"] += [{"type": "user"}, {"type": "time"}, {"type": "cgroup"}]

HIERARCHIES = (Hierarchy(("pids",), "/sys/fs/cgroup/pids", "/", 1),)
WRONG = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["/proc/x", "..", "a=b", "/dev", "bind", "1.0.0", "mount"])
    | st.lists(st.text(max_size=2) | st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=2), max_size=2)
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in ``value``."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    config = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 3))):
        found = places(config)
        holder, key = found[draw(st.integers(0, len(found) - 1))]
        if draw(st.booleans()) and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = draw(WRONG)
    return config


def test_the_undamaged_config_plans() -> None:
    assert check_config(FULL) == []
    assert plan(FULL)


def plan(config: dict[str, Any]) -> bytes:
    return init_plan(
        config, "/rootfs", cgroup_paths={"pids": "/x"}, terminal=True, hierarchies=HIERARCHIES, kcore=False
    ).encode()


@settings(max_examples=400)
@given(damaged())
def test_a_damaged_config_plans_or_ends_in_an_error_of_ours(config: dict[str, Any]) -> None:
    try:
        check_config(config)
    except CorelaunchError as error:
        assert error.where, error
        assert "\n" not in str(error)
        errors = find(config).errors
        assert str(errors[0]) == str(error)
    else:
        assert find(config).errors == []
        try:
            plan(config)
        except CorelaunchError as error:
            assert error.where, error


@given(damaged())
def test_a_damaged_process_plans_or_ends_in_an_error_of_ours(config: dict[str, Any]) -> None:
    process = config.get("process")
    try:
        check_process(process)  # type: ignore[arg-type]
    except CorelaunchError as error:
        assert error.line().startswith("process: ")
    else:
        assert setns_plan(process, FULL, terminal=False).encode()  # type: ignore[arg-type]


#: Modules that cost a launch milliseconds.
SLOW = (
    "argparse attr attrs collections contextlib dataclasses enum functools importlib.metadata inspect json logging "
    "pathlib re shutil signal socket subprocess tempfile typing"
).split()


def test_checking_and_planning_import_nothing_that_is_slow() -> None:
    program = (
        "import sys\n"
        "from corelaunch.spec.bundle import load\n"
        "from corelaunch.spec.check import check_config\n"
        "from corelaunch.spec.process import check_process, load_process\n"
        "from corelaunch.plan import setns_plan\nfrom corelaunch.plan.init_plan import init_plan\n"
        "from corelaunch.default_config import default_config\n"
        "config = default_config()\n"
        "check_config(config)\n"
        "init_plan(config, '/r', cgroup_paths={}, terminal=True).encode()\n"
        "setns_plan({'args': ['x']}, config, terminal=True).encode()\n"
        f"print(*sorted(set({SLOW!r}) & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == ""
