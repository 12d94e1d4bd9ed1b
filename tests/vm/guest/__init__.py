"""A Debian guest with a real 6.1 kernel and pure cgroup v2, under QEMU's TCG: what ``script/vm`` runs commands in."""
