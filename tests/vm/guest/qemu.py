"""QEMU: its command line for a guest, and its machine protocol (QMP)."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

from .image import Image
from .modes import Mode

PROGRAM = "qemu-system-x86_64"
#: One thread for all processors: with one for each, a guest of two hung now and then in its boot, and spun when the
#: host was busy.
_ACCEL = "tcg,thread=single"
_MACHINE = "microvm,pic=off,pit=off,rtc=on,acpi=on,isa-serial=on,memory-backend=ram"
#: The devices' order and number are part of the frozen state.
_DEVICES = (
    *("-device", "virtio-blk-device,drive=root"),
    *("-device", "virtio-9p-device,fsdev=control,mount_tag=control"),
    *("-device", "virtio-9p-device,fsdev=job,mount_tag=job"),
    *("-device", "virtio-9p-device,fsdev=host,mount_tag=host"),
)
_PLAIN = ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")


def frozen_inputs(image: Image, mode: Mode) -> tuple[str, ...]:
    """All that the state of a booted guest depends on; the host's paths do not count."""
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    machine = (_ACCEL, _MACHINE, *_DEVICES, *_PLAIN)
    return (image.identity, mode.kernel, mode.cpu, mode.smp, mode.memory, mode.append, version, _host_cpu(), *machine)


def command(
    image: Image, mode: Mode, *, memory: Path, shared: bool, control: Path, job: Path, serial: int, qmp: int
) -> list[str]:
    """QEMU's command line.

    Args:
        memory: file of the guest's memory.
        shared: the guest's writes reach that file (a template is made); otherwise they are the guest's own.
        control: directory that is /control in the guest, where its command and the answers are.
        job: directory that is /job there.
        serial: inherited socket of the console.
        qmp: inherited socket of the machine protocol.
    """
    backend = f"memory-backend-file,id=ram,size={mode.memory},mem-path={memory},share={'on' if shared else 'off'}"
    # microvm has no HPET and no PM timer, and the kernel's PIT calibration fails under TCG: it is told the rate.
    append = f"{mode.append} tsc_early_khz={_host_khz()}"
    return [
        PROGRAM,
        *("-M", _MACHINE, "-accel", _ACCEL, "-cpu", mode.cpu, "-smp", mode.smp, "-m", mode.memory, *_PLAIN),
        *("-kernel", str(image.kernel(mode.kernel)), "-initrd", str(image.initramfs), "-append", append),
        *("-object", backend),
        *("-chardev", f"socket,id=console,fd={serial}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control"),
        *("-drive", f"if=none,id=root,file={image.root},format=raw,readonly=on,file.locking=off"),
        *("-fsdev", f"local,id=control,path={control},security_model=none"),
        *("-fsdev", f"local,id=job,path={job},security_model=none"),
        *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
        *_DEVICES,
    ]


class QmpError(Exception):
    """QEMU refused a command, or is gone."""


class Qmp:
    """The machine protocol over a connected socket; it ends with the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        self._file.readline()  # the greeting
        self("qmp_capabilities")
        # The memory is a file that both sides see: it is not copied into the state.
        self("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def __call__(self, name: str, **arguments: Any) -> Any:
        """Execute a command and give its answer.

        Raises:
            QmpError: it was refused, or QEMU ended.
        """
        try:
            self._file.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
            self._file.flush()
            while line := self._file.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise QmpError(f"{name}: {answer['error']['desc']}")
                if "return" in answer:  # else an event
                    return answer["return"]
        except OSError as error:
            raise QmpError(f"{name}: {error}") from error
        raise QmpError(f"{name}: QEMU ended")

    def close(self) -> None:
        """Close this side."""
        self._file.close()


def _host_khz() -> int:
    rate = _cpuinfo("cpu MHz")
    return round(float(rate) * 1000) if rate else 2_000_000


def _host_cpu() -> str:
    """The model, because the rate of its counter is in the frozen state; the rate itself is not read twice the same."""
    return _cpuinfo("model name")


def _cpuinfo(key: str) -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(key)), "")
