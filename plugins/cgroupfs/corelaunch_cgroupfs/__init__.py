"""Cgroup manager ``cgroupfs`` of corelaunch: cgroup v1, hybrid and v2 through the files of the kernel."""
