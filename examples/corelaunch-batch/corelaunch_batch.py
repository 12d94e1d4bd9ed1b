"""A runtime for queues of jobs: each line of standard input runs in a fresh container and becomes a line of JSON."""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from multiprocessing.pool import ThreadPool

from corelaunch.default_config import default_config
from corelaunch.errors import CorelaunchError
from corelaunch.runtime import Runtime


def mebibytes(text):
    return int(text.removesuffix("M")) << 20


def run(runtime, config, index, line, **bounds):
    try:
        # A JSON object is a part of the OCI process object (args, env, cwd …), which corelaunch checks.
        process = json.loads(line) if line.startswith("{") else {"args": shlex.split(line)}
        data = str(process.pop("stdin", "")).encode()
        config = {**config, "process": config["process"] | process}
        return {"index": index} | runtime.complete(f"{os.getpid()}-{index}", config, data=data, **bounds).json()
    except (CorelaunchError, ValueError, RecursionError) as error:
        return {"index": index, "status": None, "error": str(error)}


def main():
    parser = argparse.ArgumentParser(prog="corelaunch-batch", description=__doc__)
    parser.add_argument("rootfs", type=os.path.abspath)
    options = (("jobs", int, os.cpu_count()), ("memory", mebibytes, "256M"), ("pids", int, 64), ("timeout", float, 60))
    for name, kind, default in options:
        parser.add_argument(f"--{name}", type=kind, default=default)
    given = parser.parse_args()
    if min(given.jobs, given.memory, given.pids) < 1 or not given.timeout >= 0:
        parser.error("--jobs, --memory and --pids are numbers from 1, --timeout from 0")
    config = default_config(rootfs=given.rootfs)
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]})
    config["linux"]["resources"] |= {"memory": {"limit": given.memory}, "pids": {"limit": given.pids}}
    runtime, stop, pool = Runtime("/run/corelaunch-batch"), os.eventfd(0), ThreadPool(given.jobs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        runtime.plan("check", config)  # what is wrong for every job is said once
        bounds = {"timeout": given.timeout, "limit": 1 << 16, "stop": stop}
        lines, done, failed, began = [line for line in sys.stdin if line.strip()], 0, 0, time.monotonic()
        for result in pool.imap_unordered(lambda job: run(runtime, config, *job, **bounds), enumerate(lines)):
            print(json.dumps(result), flush=True)
            done, failed, seconds = done + 1, failed + (result["status"] != 0), time.monotonic() - began
            progress = f"{done} done, {min(given.jobs, len(lines) - done)} running, {failed} failed, "
            progress += f"{done / seconds * 60:.0f} a minute, {seconds / done * (len(lines) - done):.0f} s left"
            if sys.stderr.isatty() or done == len(lines):
                print(f"\r{progress}", end=" \n"[done == len(lines)], file=sys.stderr, flush=True)
        return failed > 0
    except (CorelaunchError, OSError) as error:
        parser.exit(2, f"corelaunch-batch: {error}\n")
    except KeyboardInterrupt:
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.eventfd_write(stop, 1)  # what runs is killed and deleted by its own thread
        pool.terminate()
        pool.join()
