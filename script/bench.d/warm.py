"""The warm path: one living Python process that makes containers through the API, a cycle a request.

Run by the interpreter that corelaunch is installed for. Reads a byte, does create -> start -> wait -> delete, and
answers with ``WALL CPU`` in milliseconds (CPU: of this process and of the containers it reaped).
"""

from __future__ import annotations

import os
import resource
import sys
import time


def cpu_seconds() -> float:
    """User and system time of this process and of its children that were waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def main() -> None:
    """Serve requests until the end of input. Arguments: state root, bundle."""
    from corelaunch.runtime import Runtime

    # The containers' output must not mix with the answers.
    answers = os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    requests = os.dup(0)
    os.dup2(null, 0)
    runtime = Runtime(sys.argv[1])
    number = 0
    while os.read(requests, 1):
        number += 1
        cpu = cpu_seconds()
        started = time.perf_counter()
        container = runtime.create(f"warm-{number}", sys.argv[2])
        container.start()
        code = container.wait()
        container.delete()
        wall = time.perf_counter() - started
        spent = cpu_seconds() - cpu
        if code != 0:
            raise SystemExit(f"the container exited with {code}")
        os.write(answers, f"{wall * 1000:.4f} {spent * 1000:.4f}\n".encode())


if __name__ == "__main__":
    main()
