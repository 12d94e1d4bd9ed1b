"""The examples as outsiders have them: built as wheels, installed with pip beside corelaunch, and tested there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((CHECKOUT / "examples").glob("*/pyproject.toml"))
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with ours and all examples in it, made without a network."""
    place = tmp_path_factory.mktemp("examples")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place / "venv")], check=True)
    [site] = place.glob("venv/lib/python3*/site-packages")
    ours = [str(CHECKOUT), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "ours.pth").write_text("".join(f"{path}\n" for path in ours))
    python = str(place / "venv/bin/python3")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
    projects = [str(project.parent) for project in EXAMPLES]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    wheels = place / "wheels"
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", str(wheels), *projects], check=True, env=CLEAN)
    found = sorted(map(str, wheels.glob("*.whl")))
    assert len(found) == len(EXAMPLES)
    subprocess.run([*pip, "install", "--no-index", "--no-deps", *found], check=True, env=CLEAN)
    return python


@pytest.mark.needs_root
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("project", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_passes_its_own_tests(python: str, project: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", str(project.parent / "tests")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
        env=CLEAN,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "broken: 0" in done.stdout or not plugins_of(project), "a plugin is held to its contract"


@pytest.mark.timeout(300)
def test_an_example_is_found_after_pip_install(python: str, tmp_path: Path) -> None:
    """From its wheel alone: entry point, module and hooks; of a runtime its command."""
    [site] = Path(python).parents[1].glob("lib/python3*/site-packages")
    directories = [*(site / "ours.pth").read_text().split(), str(site)]
    start = f"import sys; sys.path[:0] = {directories}; from corelaunch.isolated import start; start({directories})"
    command = [python, "-IS", "-c", start, "--root", str(tmp_path / "root"), "plugins", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, env=CLEAN, cwd=tmp_path).stdout)
    found = {(row["name"], row["distribution"], row["health"]) for row in rows}
    for project in EXAMPLES:
        metadata = tomllib.loads(project.read_text())["project"]
        assert plugins_of(project) or metadata["scripts"], "nobody finds it"
        for group, names in plugins_of(project).items():
            assert group.startswith("corelaunch.")
            for name in names:
                assert (name, metadata["name"], "ok") in found, rows
        for name in metadata.get("scripts", {}):
            command = [str(Path(python).with_name(name)), "--help"]
            assert name in subprocess.run(command, check=True, capture_output=True, text=True, env=CLEAN).stdout


def plugins_of(project: Path) -> dict[str, dict[str, str]]:
    plugins: dict[str, dict[str, str]] = tomllib.loads(project.read_text())["project"].get("entry-points", {})
    return plugins


#: Those that are said to be small.
SMALL = ("audit", "batch", "sandbox")


@pytest.mark.parametrize("name", SMALL)
def test_a_small_example_has_less_than_60_lines_of_code(name: str) -> None:
    text = (CHECKOUT / f"examples/corelaunch-{name}/corelaunch_{name}.py").read_text()
    assert 10 < len([line for line in text.split("\n") if line.strip()]) < 60
