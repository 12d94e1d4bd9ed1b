"""Lifecycle plugin ``audit``: a JSON line for each moment of a container's life, and no container without its line."""

import os
import time

import corelaunch.api as api

corelaunch_api = 1

#: Made with mode 0600. Each line is one write with O_APPEND, so runtimes that work at the same time do not mix theirs.
LOG = "/var/log/corelaunch-audit.jsonl"


@api.hookimpl
def corelaunch_adjust_config():
    return [api.SetAnnotation("org.example.audit", LOG)]


@api.hookimpl
def corelaunch_moment(moment):
    record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "container": moment.container_id,
        "moment": moment.name,
        "pid": moment.pid,
        "uid": os.getuid(),
        "login": login_uid(),
    }
    if moment.name == "creating":
        record["bundle"] = moment.bundle
    if moment.process:
        record["args"] = moment.process["args"]
    if moment.error:
        record |= {"step": moment.step, "error": moment.error}
    try:
        fd = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, api.dumps(record).encode() + b"\n")
        finally:
            os.close(fd)
    except OSError as error:
        # Where a moment can be vetoed this stops it: what cannot be recorded does not happen.
        raise api.KernelError.of("cannot write the audit log", error, where=LOG) from error


def login_uid():
    """Who logged in before all su and sudo (audit(8)); -1 for a service."""
    try:
        with open("/proc/self/loginuid") as file:
            uid = int(file.read())
    except (OSError, ValueError):
        return -1
    return -1 if uid == 2**32 - 1 else uid
