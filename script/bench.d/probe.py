"""What a container sees, so that the series compare like with like: mounts, cgroups, status, limits, /dev."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

#: Everything in one run; a line of dashes ends each part.
PROGRAM = (
    "/bin/sh",
    "-c",
    "cat /proc/self/mountinfo; echo ---; cat /proc/self/cgroup; echo ---; cat /proc/self/status; echo ---; "
    "cat /proc/self/limits; echo ---; ls -ln /dev",
)
_PARTS = ("mounts", "cgroup", "status", "limits", "dev")
_STATUS = ("Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
_SIGNALS = ("SigBlk", "SigIgn", "SigCgt")

View = dict[str, frozenset[str]]


def look(command: Sequence[str]) -> View:
    """Run a container whose program is PROGRAM, and read what it says.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    parts = done.stdout.split("---\n")
    if done.returncode != 0 or len(parts) != len(_PARTS):
        raise RuntimeError(f"{' '.join(command)}: {done.returncode} {done.stderr.strip()}")
    readers = (_mounts, _lines, _status, _lines, _dev)
    return {name: frozenset(read(text)) for name, read, text in zip(_PARTS, readers, parts)}


def differences(view: View, reference: View) -> Mapping[str, list[str]]:
    """Part -> lines ``- only the reference has it`` and ``+ only this one has it``."""
    found = {}
    for part in _PARTS:
        lines = [f"- {line}" for line in sorted(reference[part] - view[part])]
        lines += [f"+ {line}" for line in sorted(view[part] - reference[part])]
        if lines:
            found[part] = lines
    return found


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def _status(text: str) -> list[str]:
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return [f"{name} {' '.join(fields[name].split())}" for name in (*_STATUS, *_SIGNALS) if name in fields]


def _mounts(text: str) -> list[str]:
    """Mount point, root, options and type of each; not the numbers, and no order."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        _, _, _, root, target, options, *optional = left.split()
        kind, _, kernel_options = right.split()
        words = ",".join(sorted({*options.split(","), *kernel_options.split(",")}))
        found.append(f"{target} {kind} root={root} {words} {' '.join(o.split(':')[0] for o in optional)}".rstrip())
    return found


def _dev(text: str) -> list[str]:
    """Mode, owner, device number and target; not the date."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0] != "total":
            device = " ".join(words[4:6]) if words[0][0] in "bc" else ""
            target = " ".join(words[-3:]) if words[0][0] == "l" else words[-1]
            found.append(f"{words[0]} {words[2]}:{words[3]} {device} {target}")
    return found
