"""Damage the journal of a live container at one place, ``delete --force`` it, look for residue; again and again.

    unshare --mount --propagation private python corrupt.py SAMPLE SEED

SAMPLE places are chosen by chance for each kind of damage, 0 takes every byte. Prints one JSON object: how many
trials of each kind, and those that left something. Uses the Python API in its own rig, since a cycle costs
milliseconds there and a command line tens of them.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "host"))
import residue
from rig import Rig

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.runtime import Runtime

Damage = Callable[[Path, int], None]


def truncate(path: Path, offset: int) -> None:
    os.truncate(path, offset)


def flip(path: Path, offset: int) -> None:
    """Flip one bit of one byte; which one depends on the byte, so that all eight come up."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << (offset % 8)
    path.write_bytes(data)


def overwrite(path: Path, offset: int) -> None:
    """Zeros from here on for a block, as after a torn write."""
    data = bytearray(path.read_bytes())
    data[offset : offset + 64] = bytes(min(64, len(data) - offset))
    path.write_bytes(data)


def remove(path: Path, offset: int) -> None:
    path.unlink()


#: Name, file, damage; each alone: the journal and state.json are two copies, and one of them is enough.
KINDS: tuple[tuple[str, str, Damage], ...] = (
    ("journal truncated", "journal", truncate),
    ("journal bit flipped", "journal", flip),
    ("journal overwritten", "journal", overwrite),
    ("state.json truncated", "state.json", truncate),
    ("state.json bit flipped", "state.json", flip),
)


def places(size: int, sample: int, chance: random.Random) -> Iterator[int]:
    if not sample or sample >= size:
        yield from range(size)
    else:
        # The ends always: an empty file, and one that lacks its last byte.
        yield from sorted({0, size - 1, *chance.sample(range(size), sample)})


class Subject:
    """A runtime whose containers are damaged one after the other."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.runtime = Runtime(str(rig.root))
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.trial("journal", lambda path, offset: None, 0)  # imports; and files that the first cycle makes

    def size(self, file: str) -> int:
        """Size of a container's file."""
        sizes: list[int] = []
        self.trial(file, lambda path, offset: sizes.append(path.stat().st_size), 0)
        return sizes[0]

    def trial(self, file: str, damage: Damage, offset: int) -> str:
        """One container: made, damaged, deleted. Returns what is wrong, "" for nothing."""
        container_id = self.rig.next_id()
        self.rig.write_config(container_id, ("sleep", "1000"))
        scope = self.rig.scope(container_id)
        before = residue.snapshot(scope)
        container = self.runtime.create(
            container_id, str(self.rig.bundle), io=ProcessIO(self.null, self.null, self.null)
        )
        container.process.close()
        path = Path(container.directory) / file
        damage(path, min(offset, path.stat().st_size - 1))
        problem = ""
        try:
            self.runtime.load(container_id).delete(force=True)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what this trial found)
            problem = f"{type(error).__name__}: {error}\n"
        left = residue.settle(scope, before, 1.0)
        if left:
            problem += str(left)
            self.rig.clean(container_id, before)
        return problem


def main() -> None:
    sample, seed = int(sys.argv[1]), int(sys.argv[2])
    rig = Rig(["unused"], "unused", f"cl-f-damage-{os.getpid()}")
    subject = Subject(rig)
    chance = random.Random(seed)
    run: Counter[str] = Counter()
    bad: list[dict[str, object]] = []
    for name, file, damage in KINDS:
        for offset in places(subject.size(file), sample, chance):
            problem = subject.trial(file, damage, offset)
            run[name] += 1
            if problem:
                bad.append({"kind": name, "offset": offset, "problem": problem})
    for file in ("journal", "state.json"):
        problem = subject.trial(file, remove, 0)
        run[f"{file} removed"] += 1
        if problem:
            bad.append({"kind": f"{file} removed", "offset": 0, "problem": problem})
    print(json.dumps({"run": run, "bad": bad}))


if __name__ == "__main__":
    main()
