"""A container is looked up, never remembered; and what one was created with does not rub off on others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime
from corelaunch.state.journal import Journal


def journal(root: Path, container_id: str, *records: Mapping[str, Any], **begin: Any) -> Journal:
    directory = root / container_id
    directory.mkdir(parents=True)
    made = Journal.create(str(directory))
    made.append([{"record": "begin", "version": 1, "boot_id": procfs.boot_id(), **begin}, *records])
    return made


def test_a_container_that_was_found_while_it_was_created_has_its_pid_afterwards(tmp_path: Path) -> None:
    writer = journal(tmp_path, "one")
    container = Runtime(str(tmp_path)).load("one")
    assert container.pid == 0
    me = os.getpid()
    writer.append([{"record": "process", "role": "init", "pid": me, "start_time": procfs.start_time(me)}])
    writer.append([{"record": "status", "status": "created"}])
    writer.close()
    assert container.pid == me
    again = Runtime(str(tmp_path)).load("one")
    assert again.state() == container.state()
    assert (container.state()["status"], container.state()["pid"]) == ("created", me)


def test_the_deadline_of_a_container_is_not_that_of_the_next_one(tmp_path: Path) -> None:
    for name, seconds in (("slow", 600.0), ("quick", 2.0)):
        journal(tmp_path, name, call_seconds=seconds).close()
    runtime = Runtime(str(tmp_path), call_seconds=7.0)
    slow, quick = runtime.load("slow"), runtime.load("quick")
    assert len(runtime.containers()[0]) == 2
    assert (runtime.call_seconds, runtime.guard.seconds) == (7.0, 7.0)
    assert slow._runtime.guard.seconds == slow._runtime.registry.guard.seconds == 600.0
    assert quick._runtime.guard.seconds == 2.0
