"""What a process of the contracts has begun ends with it, also when a plugin ended that process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from corelaunch.testing.guest_child import Child


def test_who_ends_the_process_leaves_nobody_that_it_has_begun(tmp_path: Path) -> None:
    def work() -> None:
        began = [subprocess.Popen(["sleep", "1000"], start_new_session=number > 0).pid for number in range(2)]
        (tmp_path / "pids").write_text(" ".join(map(str, began)))
        os._exit(3)

    told = Child(30).run(work)
    assert "it ended the process" in told.lost
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2 and not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_other_children_of_the_tests_live_on(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as mine:
        assert Child(30).run(lambda: "done").answer == "done"
        assert mine.poll() is None
        mine.kill()
