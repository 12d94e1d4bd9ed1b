"""Cgroup manager ``systemd`` of corelaunch: one transient unit of systemd per container, over D-Bus."""
