"""Boot the guest, run one shell script in it as root, hand back its output and exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .image import Image

_APPEND = (
    "console=ttyS0 quiet loglevel=1 reboot=t panic=-1 mitigations=off cryptomgr.notests no_timer_check tsc=reliable"
    " rcupdate.rcu_expedited=1"
)


@dataclass(frozen=True)
class Result:
    """What a run in the guest gave.

    Attributes:
        code: exit code of the script; 125 when the guest did not come to its end.
        output: stdout and stderr of the script, mixed.
        console: the guest kernel's messages and those of guest-init.
        seconds: wall time from the start of QEMU to the power-off.
    """

    code: int
    output: str
    console: str
    seconds: float


def run(
    image: Image, script: str, *, checkout: Path, timeout: float, stream: bool = False, memory: str = "1G"
) -> Result:
    """Boot, run ``script`` with bash in ``checkout`` (read-only there), power off.

    Args:
        timeout: seconds after which QEMU is killed.
        stream: copy the output to stdout while it comes.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="corelaunch-vm.") as name:
        job = Path(name)
        (job / "run").write_text(script)
        (job / "checkout").write_text(str(checkout))
        out = job / "out"
        out.touch()
        qemu = subprocess.Popen(_command(image, job, memory), stdin=subprocess.DEVNULL)
        try:
            timed_out = not _wait(qemu, out, started + timeout, stream)
        finally:
            qemu.kill()
            qemu.wait()
        console = _text(job / "console")
        if timed_out:
            console += f"\nvm: the guest was killed after {timeout:.0f} s\n"
        code = _text(job / "rc").strip()
        return Result(int(code) if code else 125, _text(out), console, time.monotonic() - started)


def _wait(qemu: subprocess.Popen[bytes], out: Path, deadline: float, stream: bool) -> bool:
    """Wait for the power-off; False when the deadline came first."""
    with out.open("rb") as file:
        while True:
            ended = qemu.poll() is not None
            if stream:
                sys.stdout.buffer.write(file.read())
                sys.stdout.buffer.flush()
            if ended or time.monotonic() > deadline:
                return ended
            time.sleep(0.05)


def _command(image: Image, job: Path, memory: str) -> list[str]:
    # microvm has no HPET and no PM timer, and the kernel's PIT calibration fails under TCG: it is told the rate.
    append = f"{_APPEND} tsc_early_khz={_host_khz()}"
    return [
        "qemu-system-x86_64",
        *("-M", "microvm,pic=off,pit=off,rtc=on,acpi=on,isa-serial=on", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-smp", "1", "-m", memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", append),
        *("-chardev", f"file,id=console,path={job}/console", "-serial", "chardev:console"),
        *("-drive", f"if=none,id=root,file={image.root},format=raw,readonly=on,file.locking=off"),
        *("-device", "virtio-blk-device,drive=root"),
        *(
            "-fsdev",
            f"local,id=job,path={job},security_model=none",
            "-device",
            "virtio-9p-device,fsdev=job,mount_tag=job",
        ),
        *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-device,fsdev=host,mount_tag=host"),
    ]


def _host_khz() -> int:
    with open("/proc/cpuinfo", encoding="ascii") as file:
        rates = [line.partition(":")[2] for line in file if line.startswith("cpu MHz")]
    return round(float(rates[0]) * 1000) if rates else 2_000_000


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if os.path.exists(path) else ""
