"""The FUSE resctrl answers each command as Linux 6.1 answered it: errno, what is read, and the words afterwards.

The kernel's answers were recorded by ``tests/vm/test_resctrl_61.py``, which also checks that they are still the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from corelaunch.testing import fuse_resctrl, resctrl_machine

CHECKOUT = Path(__file__).resolve().parent.parent.parent.parent
SCRIPT = CHECKOUT / "tests/vm/resctrl_operations.py"
RECORDED = CHECKOUT / "tests/fixtures/resctrl-6.1"
MACHINES = {"rdt": resctrl_machine.RDT, "hsw": resctrl_machine.HASWELL, "cdp": resctrl_machine.CODE_AND_DATA}

pytestmark = pytest.mark.skipif(bool(fuse_resctrl.lacks()), reason=f"this host lacks {fuse_resctrl.lacks()}")


#: The model has them in limbo for one.
LIMBO_SECONDS = "1.3"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Machine -> what the script printed; all are played at once, as most of it is waiting."""
    with ExitStack() as stack:
        scripts = {}
        for name, machine in MACHINES.items():
            root = stack.enter_context(fuse_resctrl.mounted(tmp_path_factory.mktemp(name), machine))
            command = [sys.executable, "-S", str(SCRIPT), root, LIMBO_SECONDS]
            scripts[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return {name: script.communicate(timeout=120)[0] for name, script in scripts.items()}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_command_has_the_kernels_answer(played: dict[str, str], machine: str) -> None:
    recorded = (RECORDED / f"{machine}.jsonl").read_text().splitlines()
    assert len(recorded) > 200
    assert played[machine].splitlines() == recorded


def test_it_is_gone_with_its_block_whatever_is_open_in_it(tmp_path: Path) -> None:
    before = tmp_path.stat().st_dev
    with fuse_resctrl.mounted(tmp_path, resctrl_machine.RDT) as root:
        fd = os.open(f"{root}/tasks", os.O_RDONLY)
        assert tmp_path.stat().st_dev != before
    with pytest.raises(OSError, match="not connected"):
        os.close(fd)
    assert tmp_path.stat().st_dev == before


def test_counters_say_what_a_test_wants(tmp_path: Path) -> None:
    with fuse_resctrl.mounted(tmp_path, resctrl_machine.RDT) as root:
        Path(root, "a").mkdir()
        Path(root, ".control").write_text("a mon_data/mon_L3_01/llc_occupancy Unavailable")
        files = [Path(root, f"a/mon_data/mon_L3_0{domain}/llc_occupancy").read_text() for domain in (0, 1)]
    assert files == ["0\n", "Unavailable\n"]
