"""Which guest: its cgroup hierarchies, its PID 1, and whether it has Intel RDT."""

from __future__ import annotations

from dataclasses import dataclass

CGROUPS = ("v2", "hybrid", "v1")
RESCTRLS = ("", "rdt", "hsw")

#: What the kernel is told; systemd reads its own words, guest-init (no systemd) reads guest.cgroup.
_QUIET = (
    "console=ttyS0 quiet loglevel=1 reboot=t panic=-1 mitigations=off cryptomgr.notests no_timer_check tsc=reliable"
    " rcupdate.rcu_expedited=1"
)
_SYSTEMD = "systemd.show_status=0 systemd.log_target=console systemd.log_level=warning"
_HIERARCHY = {
    "v2": "systemd.unified_cgroup_hierarchy=1",
    "hybrid": "systemd.unified_cgroup_hierarchy=0",
    "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
}
#: The probe of each kind of RDT looks at vendor, family and model; rdt reads leaf 0x10, so the level has to reach it.
_CPU = {
    "": "max",
    "rdt": "max,vendor=GenuineIntel,family=6,model=106,stepping=6,level=0x1b,l3-cache=on",
    "hsw": "max,vendor=GenuineIntel,family=6,model=63,stepping=2,l3-cache=on",
}


@dataclass(frozen=True)
class Mode:
    """A kind of guest.

    Attributes:
        cgroup: "v2" (one hierarchy with every controller), "hybrid" (systemd's: controllers on v1, an empty v2 beside
            them) or "v1" (no v2 at all).
        resctrl: "" (none), "rdt" (L3 CAT and CDP, MBA, CMT and MBM) or "hsw" (Haswell: bare L3 CAT); with one of
            them the guest has two sockets with a cache each, so two domains.
        systemd: systemd 252 is PID 1, with D-Bus; otherwise a shell script that mounts the same hierarchies.
        cpus: processors; with resctrl always two.
        memory: as QEMU writes sizes.

    Raises:
        ValueError: no such cgroup or resctrl, or not a number of processors that can be had.
    """

    cgroup: str = "v2"
    resctrl: str = ""
    systemd: bool = True
    cpus: int = 1
    memory: str = "1G"

    def __post_init__(self) -> None:
        if self.cgroup not in CGROUPS or self.resctrl not in RESCTRLS:
            raise ValueError(f"no guest with cgroup {self.cgroup!r} and resctrl {self.resctrl!r}")
        if self.resctrl:
            object.__setattr__(self, "cpus", 2)
        if not 1 <= self.cpus <= 8:
            raise ValueError(f"{self.cpus} processors: a guest has 1 to 8")

    def __str__(self) -> str:
        words = [self.cgroup, self.resctrl, "" if self.systemd else "no-systemd"]
        return "-".join(word for word in words if word)

    @property
    def kernel(self) -> str:
        """Name of the kernel's file in the image."""
        return f"vmlinux.{self.resctrl}" if self.resctrl else "vmlinux"

    @property
    def cpu(self) -> str:
        """QEMU's -cpu."""
        return _CPU[self.resctrl]

    @property
    def smp(self) -> str:
        """QEMU's -smp."""
        return "2,sockets=2" if self.resctrl else str(self.cpus)

    @property
    def append(self) -> str:
        """The kernel's command line, without what depends on the host."""
        init = "/lib/systemd/systemd" if self.systemd else "/usr/local/sbin/guest-init"
        return f"{_QUIET} {_SYSTEMD} {_HIERARCHY[self.cgroup]} guest.cgroup={self.cgroup} guest.init={init}"
