"""The pytest plugin runs contracts by name, keeps two kinds of skip apart, and costs nothing when it is not used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PLUGIN = "corelaunch.testing.pytest_plugin"

ON_FAKE_FILES = """
import pytest
from corelaunch.testing import CgroupManagerContract
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager
from corelaunch.testing.fake_cgroup import FakeCgroups

class TestMine(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path):
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files):
        return ReferenceCgroupManager(cgroup_files)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest as an author would: in a directory of their own, with the plugin ``flat`` installed."""
    installed = tmp_path / "site" / "corelaunch_flat-0.1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: corelaunch-flat\nVersion: 0.1.0\n")
    (installed / "entry_points.txt").write_text("[corelaunch.cgroup_managers]\nflat = corelaunch_flat\n")
    (installed.parent / "corelaunch_flat.py").write_bytes(
        (CHECKOUT / "examples/corelaunch-flat/corelaunch_flat.py").read_bytes()
    )
    path = [str(installed.parent), *(os.path.abspath(directory) for directory in sys.path)]
    work = tmp_path / "work"
    work.mkdir()

    def run(*options: str, tb: str = "short", **files: str) -> subprocess.CompletedProcess[str]:
        for name, text in files.items():
            (work / f"{name}.py").write_text(text)
        # By its entry point, if corelaunch is installed here, else by hand.
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:corelaunch"]
        return subprocess.run(
            [*command, "-p", PLUGIN, f"--tb={tb}", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            cwd=work,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": ":".join(path)},
        )

    return run


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_installed_plugin_is_held_to_its_contract_without_a_line_of_code(run: Run) -> None:
    done = run("--corelaunch-contract", "cgroup_manager:flat")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TestFlatCgroupManager (CgroupManagerContract)" in done.stdout
    assert "broken: 0" in done.stdout
    assert re.search(r"\d feature 'limits' not claimed", done.stdout)


def test_tests_of_the_authors_own_run_beside_it(run: Run) -> None:
    """Named on the command line; without a name only the contract runs, whatever lies in the directory."""
    own = {"test_own": "def test_mine():\n    pass\n"}
    contract = ("--corelaunch-contract", "cgroup_manager:flat", "-k", "place or mine")
    assert "test_own.py::test_mine PASSED" in run("-vv", *contract, "test_own.py", **own).stdout
    assert "test_own" not in run("-vv", *contract).stdout


def test_what_this_host_lacks_is_skipped_and_told_apart_from_what_is_not_claimed(run: Run) -> None:
    done = run("-k", "Limiting or limit or Unclaimed or device", test_mine=ON_FAKE_FILES)
    assert done.returncode == 0, done.stdout
    assert "host lacks: 1\n    1 this host lacks a kernel behind its cgroup files" in done.stdout
    assert re.search(r"^    \d+ feature 'devices' not claimed$", done.stdout, re.MULTILINE)


def test_what_this_host_lacks_fails_where_it_is_required(run: Run) -> None:
    done = run("--corelaunch-host=require", "-k", "pids_limit_holds or device_rules", test_mine=ON_FAKE_FILES)
    assert done.returncode == 1, done.stdout
    assert "this host lacks a kernel behind its cgroup files (and --corelaunch-host=require was given)" in done.stdout
    assert re.search("^1 failed, [0-9]+ skipped", done.stdout, re.MULTILINE), "what is not claimed is never a failure"


@pytest.mark.parametrize("choice", ["cgroupfs", "cgroup_manager:", "lifecycle:", "nonsense:x"])
def test_a_choice_that_is_none_says_how_to_write_one(run: Run, choice: str) -> None:
    done = run("--corelaunch-contract", choice)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    kinds = "cgroup_manager, rdt_manager, network_strategy, lifecycle"
    assert f"write KIND:NAME, where KIND is one of {kinds}" in done.stderr


def test_only_network_strategies_have_options(run: Run) -> None:
    done = run("--corelaunch-contract", "cgroup_manager:flat:limits=none")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "cgroup_manager:flat:limits=none: only a network_strategy has options" in done.stderr


def test_a_plugin_that_cannot_be_loaded_ends_the_run_at_once_with_one_line(run: Run) -> None:
    """No promise was tried, so none is called broken."""
    done = run("--corelaunch-contract", "cgroup_manager:nonesuch")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert "no cgroup manager called 'nonesuch' is installed" in line
    assert "flat" in line


def test_a_kind_may_be_written_with_a_hyphen(run: Run) -> None:
    """As ``corelaunch plugin new`` has it."""
    done = run("--corelaunch-contract", "cgroup-manager:flat", "-k", "features_are_known_words")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TestFlatCgroupManager (CgroupManagerContract)" in done.stdout


WITH_A_BUG = """
import pytest
from corelaunch.testing import CgroupManagerContract
from corelaunch.testing.fake_cgroup import FakeCgroups
from buggy import Buggy

class TestBuggy(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path):
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files):
        return Buggy(cgroup_files)
"""

BUGGY = """
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager

class Buggy(ReferenceCgroupManager):
    def create(self, placement, request, process, ctx):
        raise KeyError(request.container_id)
"""


def test_failures_of_one_cause_are_one_line_with_their_number_and_one_traceback(run: Run) -> None:
    done = run("-k", "Creating or create or destroy", test_mine=WITH_A_BUG, buggy=BUGGY, tb="auto")
    assert done.returncode == 1, done.stdout
    [broken] = [block for block in re.findall(r"^broken: .*\n(?:    .*\n)*", done.stdout, re.MULTILINE)]
    assert re.fullmatch(
        r"broken: (\d+)\n    \1 KeyError: 'cl-cg-contract-[-0-9]+' \(work/buggy.py:6\)\n", broken
    ), broken
    assert int(broken.split()[1]) > 5
    assert done.stdout.count("raise KeyError(request.container_id)") == 1
    assert done.stdout.index(broken) < done.stdout.index("FAILED test_mine.py")


def test_a_run_without_contracts_imports_nothing_of_them() -> None:
    """The plugin is loaded by every pytest of an environment."""
    script = f"""
import pytest, sys
before = set(sys.modules)
import {PLUGIN}
print(sorted(name for name in set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(map(os.path.abspath, sys.path))},
    )
    assert done.stdout.strip() == "['corelaunch', 'corelaunch.testing', 'corelaunch.testing.pytest_plugin']"


AS_A_USER = """
import pytest
from corelaunch.testing import CgroupManagerContract, LifecycleContract
from corelaunch.testing.cgroup_kernel import KernelCgroups
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager
from corelaunch.testing.lifecycle_reference import ReferenceLifecycle

class TestLifecycle(LifecycleContract):
    @pytest.fixture
    def plugin(self):
        return ReferenceLifecycle()

class TestCgroups(CgroupManagerContract):
    @pytest.fixture
    def manager(self):
        return ReferenceCgroupManager(KernelCgroups())
"""


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_for_an_ordinary_user_nothing_is_broken_that_only_root_can_check() -> None:
    """A lifecycle plugin is checked in full: no root is needed for that."""
    user = 12345
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        Path(directory, "test_mine.py").write_text(AS_A_USER)
        path = [str(CHECKOUT), *(os.path.abspath(place) for place in sys.path)]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:corelaunch", "-p", PLUGIN]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
                cwd=directory,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(path), "PYTHONDONTWRITEBYTECODE": "1"},
                user=user,
                group=user,
                extra_groups=[],
            )
        except PermissionError:
            pytest.skip("this host lacks a checkout that other users can read")
    assert done.returncode == 0, done.stdout + done.stderr
    lifecycle, cgroups = re.findall(r"kept: (\d+)\nbroken: 0\n", done.stdout)
    assert (int(lifecycle) > 25, int(cgroups) > 5) == (True, True)
    assert "this host lacks the right to make cgroups" in done.stdout
