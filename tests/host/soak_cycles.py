"""Containers in a living process, one after another or in threads, and what the process holds meanwhile.

    python soak_cycles.py STATE_ROOT BUNDLE CYCLES THREADS

Prints one JSON object: descriptors, threads and zombie children before and after, and the resident memory in KiB
at twenty moments. Run as a program of its own, so that nothing of pytest is in the numbers.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.runtime import Runtime

#: Cycles before the first reading: imports, caches and the allocator's arenas have their size then.
WARM_UP = 50


def held() -> dict[str, object]:
    """What this process holds now."""
    end = time.monotonic() + 2.0
    while threads() > 1 and time.monotonic() < end:
        time.sleep(0.01)  # join() returns before the kernel's thread is gone
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_open(fd)),
        "threads": threads(),
        "children": len(children),
    }


def threads() -> int:
    return int(Path("/proc/self/status").read_text().split("Threads:")[1].split()[0])


def is_open(fd: str) -> bool:
    """False for the descriptor that listed the directory."""
    return os.path.lexists(f"/proc/self/fd/{fd}")


def resident_kib() -> int:
    gc.collect()
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


def cycles(runtime: Runtime, bundle: str, name: str, count: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for number in range(count):
            container = runtime.create(f"{name}-{number}", bundle, io=ProcessIO(null, null, null))
            container.start()
            if container.wait() != 0:
                raise SystemExit(f"{container.id} failed")
            container.delete()
    finally:
        os.close(null)


def main() -> None:
    root, bundle, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    name = Path(bundle).name
    runtime = Runtime(root)
    cycles(runtime, bundle, f"{name}-warm", WARM_UP)
    before, memory = held(), [resident_kib()]
    portion = max(1, count // 20 // threads)
    for part in range(count // (portion * threads)):
        workers = [
            threading.Thread(target=cycles, args=(runtime, bundle, f"{name}-{part}-{number}", portion))
            for number in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        memory.append(resident_kib())
    print(json.dumps({"before": before, "after": held(), "memory_kib": memory}))


if __name__ == "__main__":
    main()
