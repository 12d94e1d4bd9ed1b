"""The whole plan of the example config, as ``corelaunch plan`` shows it: whoever changes the order sees it here."""

from __future__ import annotations

from typing import Any

from corelaunch.plan import setns_plan

BEFORE = """\
 1 join a session keyring _ses.box
 2 bring the loopback interface up
 3 make every mount of the host rslave in here
 4 take /bundle/rootfs as root filesystem
 5 mount proc on /proc
 6 mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k), detached until it is filled
 7 make character device /dev/null 1:3, mode 0666, owner 0:0
 8 make character device /dev/random 1:8, mode 0666, owner 0:0
 9 make character device /dev/full 1:7, mode 0666, owner 0:0
10 make character device /dev/tty 5:0, mode 0666, owner 0:0
11 make character device /dev/zero 1:5, mode 0666, owner 0:0
12 make character device /dev/urandom 1:9, mode 0666, owner 0:0
13 link /dev/fd to /proc/self/fd
14 link /dev/stdin to /proc/self/fd/0
15 link /dev/stdout to /proc/self/fd/1
16 link /dev/stderr to /proc/self/fd/2
17 link /dev/core to /proc/kcore
18 link /dev/ptmx to pts/ptmx
19 attach the filled mount at /dev
20 mount devpts on /dev/pts (nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5)
21 mount tmpfs on /dev/shm (nosuid,nodev,noexec,mode=1777,size=65536k), source shm
22 mount mqueue on /dev/mqueue (nosuid,nodev,noexec)
23 mount sysfs on /sys (ro,nosuid,nodev,noexec)
24 mount tmpfs on /sys/fs/cgroup (nosuid,nodev,noexec,mode=755)
25 bind the tree /sys/fs/cgroup/cpu/box on /sys/fs/cgroup/cpu (ro,nosuid,nodev,noexec,relatime)
26 bind the tree /sys/fs/cgroup/cpuacct/box on /sys/fs/cgroup/cpuacct (ro,nosuid,nodev,noexec,relatime)
27 bind the tree /sys/fs/cgroup/memory/box on /sys/fs/cgroup/memory (ro,nosuid,nodev,noexec,relatime)
28 bind the tree /sys/fs/cgroup/pids/box on /sys/fs/cgroup/pids (ro,nosuid,nodev,noexec,relatime)
29 bind the tree /sys/fs/cgroup/systemd/box on /sys/fs/cgroup/systemd (ro,nosuid,nodev,noexec,relatime)
30 wait while limits are set and hooks run
31 pivot the root
32 replace the host's /dev/null on stdio by the container's
33 make directory / and those above it
"""
TERMINAL = """\
34 make the terminal, send it to the parent, let it control this session, bind it on /dev/console
"""
AFTER = """\
34 make / ro
35 set umask 0022
36 set hostname box
37 make /proc/bus read-only, if it exists
38 make /proc/sys read-only, if it exists
39 hide /proc/kcore, if it exists
40 hide /sys/firmware, if it exists
41 gain no privileges by execve any more
42 say ready and wait: the parent sets limits and writes the state
43 lower the capability bounding set to kill,net_bind_service,audit_write
44 change to directory / if that is allowed already
45 become uid 0, gid 0, no further groups
46 change to directory /
47 set capabilities: effective kill,net_bind_service,audit_write; permitted kill,net_bind_service,audit_write; inheritable none
48 raise ambient capabilities none
49 find sh in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
50 close descriptors from 3 at execve
51 end the conversation with the parent
52 wait for start
53 execute ['sh'] with 2 variables, HOME from its passwd file
"""  # noqa: E501
EXEC = """\
 1 make the terminal, send it to the parent, let it control this session, 25 rows of 80
 2 set umask 0027
 3 gain no privileges by execve any more
 4 say ready and wait: the parent sets limits and writes the state
 5 lower the capability bounding set to kill,net_bind_service,audit_write
 6 change to directory / if that is allowed already
 7 become uid 1, gid 2, groups [7]
 8 change to directory /
 9 set capabilities: effective kill,net_bind_service,audit_write; permitted kill,net_bind_service,audit_write; inheritable none
10 raise ambient capabilities none
11 find sh in no PATH
12 close descriptors from 5 at execve
13 end the conversation with the parent
14 execute ['sh'] with 2 variables
"""  # noqa: E501


def numbered_from(first: int, text: str) -> str:
    lines = text.splitlines()
    return "".join(f"{number:2}{line[2:]}\n" for number, line in enumerate(lines, first))


def test_the_plan_of_the_example_config_without_terminal(config: dict[str, Any], plan_of: Any) -> None:
    assert plan_of(config).describe() + "\n" == BEFORE + AFTER


def test_a_terminal_adds_one_operation_after_the_root_is_entered(config: dict[str, Any], plan_of: Any) -> None:
    plan = plan_of(config, terminal=True)
    assert plan.describe() + "\n" == BEFORE + TERMINAL + numbered_from(35, AFTER)
    assert plan.has_console


def test_the_plan_of_exec_is_the_tail_without_the_gate(config: dict[str, Any]) -> None:
    user = {"uid": 1, "gid": 2, "additionalGids": [7], "umask": 0o27}
    process = {"args": ["sh"], "env": ["A=1", "HOME=/x"], "noNewPrivileges": True, "user": user}
    plan = setns_plan(process, config, terminal=True, console_size={"height": 25, "width": 80}, preserve_fds=2)
    assert plan.describe() + "\n" == EXEC
    assert (plan.new_namespaces, plan.uid_map, plan.gid_map) == (0, None, None)


def test_exec_takes_over_what_its_process_leaves_out(config: dict[str, Any]) -> None:
    config["process"] |= {"cwd": "/srv", "oomScoreAdj": -5}
    plan = setns_plan({"args": ["sh"]}, config, terminal=False)
    tail = {operation.name: operation for operation in plan.operations}
    assert tail["CHDIR"].text(0) == "/srv"
    assert tail["CAP_BOUNDING"].number(0) == 1 << 29 | 1 << 5 | 1 << 10
    assert plan.rlimits == ((7, 1024, 1024),)
    assert plan.oom_score_adj == -5
    none = setns_plan({"args": ["sh"], "capabilities": {}, "cwd": "/"}, config, terminal=False)
    assert {one.name: one for one in none.operations}["CAP_BOUNDING"].number(0) == 0
