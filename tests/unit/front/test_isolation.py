"""Nobody but the owner of the installation decides what code runs: the attacks of the path-hijack table.

Each attack plants modules that leave a mark when they are imported. The mark of each is also shown to be real: the
same attack on a Python that is not isolated does leave it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: Modules that the command, or the interpreter on its way up, would import.
NAMES = ("corelaunch", "os", "posix", "stat", "errno", "json", "attr", "pluggy", "usercustomize", "sitecustomize")


class Attack:
    """An attacker who owns the working directory, HOME and the environment."""

    def __init__(self, base: Path) -> None:
        self.mark = base / "mark"
        self.cwd = base / "bundle"
        self.home = base / "home"
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        self.user_site = self.home / ".local" / "lib" / version / "site-packages"
        for directory in (self.cwd, self.user_site):
            directory.mkdir(parents=True)
            self.plant(directory)
        (self.user_site / "evil.pth").write_text(f"import os; open({str(self.mark)!r}, 'w').close()\n")

    def plant(self, directory: Path) -> None:
        payload = f"open({str(self.mark)!r}, 'w').close()\n"
        for name in NAMES:
            (directory / f"{name}.py").write_text(payload)
        info = directory / "evil-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[corelaunch.cgroup_managers]\nevil = json\n")

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PYTHONUSERBASE": str(self.home / ".local"),
            "PYTHONPATH": str(self.cwd),
            "PYTHONHOME": "",
            "PYTHONSTARTUP": str(self.cwd / "os.py"),
            "PYTHONINSPECT": "1",
            "PYTHONBREAKPOINT": "corelaunch.x",
            "PYTHONWARNINGS": "error",
            "PYTHONPLATLIBDIR": "evil",
            "PATH": f"{self.cwd}:/usr/bin:/bin",
        }


@pytest.fixture
def attack(tmp_path: Path) -> Attack:
    return Attack(tmp_path / "attack")


@pytest.mark.parametrize(
    "verb", [["--version"], ["plugins"], ["list"], ["state", "nothing-of-this-name"]], ids=" ".join
)
def test_no_variable_directory_or_user_site_has_any_effect(
    environment: Any, attack: Attack, verb: list[str], tmp_path: Path
) -> None:
    words = ["--root", str(tmp_path / "root"), *verb]
    peaceful = environment.run(*words)
    attacked = environment.run(*words, cwd=attack.cwd, **attack.environment())
    assert not attack.mark.exists()
    assert (attacked.returncode, attacked.stdout, attacked.stderr) == (
        peaceful.returncode,
        peaceful.stdout,
        peaceful.stderr,
    )
    assert "evil" not in attacked.stdout + attacked.stderr


@pytest.mark.parametrize(
    "variables",
    [["PYTHONPATH"], ["HOME"]],
    ids=["PYTHONPATH", "user site and .pth"],
)
def test_the_attacks_are_real_against_a_python_that_is_not_isolated(attack: Attack, variables: list[str]) -> None:
    chosen = {name: value for name, value in attack.environment().items() if name in variables}
    subprocess.run(
        [os.path.realpath(sys.executable), "-c", "import json, pluggy"],
        env=chosen,
        cwd="/",
        capture_output=True,
        check=False,
    )
    assert attack.mark.exists()


def test_the_attack_by_working_directory_is_real_too(attack: Attack) -> None:
    subprocess.run([os.path.realpath(sys.executable), "-c", "import pluggy"], env={}, cwd=attack.cwd, check=True)
    assert attack.mark.exists()


def test_pth_files_of_the_environment_itself_are_not_processed(environment: Any, attack: Attack) -> None:
    (environment.site / "some.pth").write_text(f"import os; open({str(attack.mark)!r}, 'w').close()\n{attack.cwd}\n")
    done = environment.run("--version")
    assert done.returncode == 0
    assert not attack.mark.exists()


def test_modules_of_the_environment_do_not_replace_the_standard_library(environment: Any, attack: Attack) -> None:
    for name in ("os", "json", "stat", "re"):
        (environment.site / f"{name}.py").write_text(f"open({str(attack.mark)!r}, 'w').close()\n")
    assert environment.run("--version").returncode == 0
    assert not attack.mark.exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root")


@needs_root
@pytest.mark.needs_root
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777], ids=oct)
@pytest.mark.parametrize("place", ["site", "package"])
def test_a_directory_that_others_can_write_is_refused_for_root(environment: Any, mode: int, place: str) -> None:
    directory = environment.site if place == "site" else environment.site / "corelaunch"
    directory.chmod(mode)
    done = environment.run("--version")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"corelaunch: cannot start: {directory} is writable by its group or by everybody")
    assert done.stderr.count("\n") == 1


@needs_root
@pytest.mark.needs_root
def test_a_directory_of_another_user_is_refused_for_root(environment: Any) -> None:
    os.chown(environment.site, 12345, 0)
    done = environment.run("--version")
    assert done.returncode == 1
    assert f"{environment.site} belongs to user 12345" in done.stderr


@needs_root
@pytest.mark.needs_root
def test_a_parent_that_others_can_write_is_refused_unless_it_is_sticky(environment: Any) -> None:
    environment.prefix.chmod(0o777)
    assert f"{environment.prefix} is writable" in environment.run("--version").stderr
    environment.prefix.chmod(0o1777)
    assert environment.run("--version").returncode == 0
