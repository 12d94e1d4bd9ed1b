"""Rules about the source that a linter does not know."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import corelaunch

LINES = 350

#: Longer ones, and why they are one thing all the same.
LONG = {
    "corelaunch/api.py": "the one module that a plugin imports: all interfaces at a glance",
}


def sources(checkout: Path) -> list[Path]:
    """The files of the product, that git knows or would know."""
    patterns = ("corelaunch/**/*.py", "plugins/*/corelaunch_*/**/*.py", "examples/**/*.py", "native/*.[ch]", "setup.py")
    return sorted(path for pattern in patterns for path in checkout.glob(pattern) if "build" not in path.parts)


def test_no_module_is_longer_than_350_lines(checkout: Path) -> None:
    lengths = {str(path.relative_to(checkout)): len(path.read_text().splitlines()) for path in sources(checkout)}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > LINES and name not in LONG} == {}
    assert [name for name in LONG if lengths[name] <= LINES] == [], "take it off the list"


def test_no_module_is_named_for_what_it_is_not(checkout: Path) -> None:
    assert [path for path in sources(checkout) if path.stem in ("utils", "util", "helpers", "common", "misc")] == []


def test_every_module_says_first_what_it_is(checkout: Path) -> None:
    for path in sources(checkout):
        start = '"""' if path.suffix == ".py" else "/*"
        assert path.read_text().startswith(start), path


def test_every_script_says_its_purpose_in_one_line(checkout: Path) -> None:
    scripts = [path for path in (checkout / "script").iterdir() if path.is_file() and path.suffix == ""]
    assert {"demo", "lint", "setup", "test"} <= {path.name for path in scripts}
    for path in scripts:
        first, second = path.read_text().splitlines()[:2]
        assert first.startswith("#!"), path
        assert second.startswith(("# ", '"""')) and 20 < len(second) < 160, f"{path}: {second!r}"
        assert path.stat().st_mode & 0o111 == 0o111, path


def test_all_distributions_have_the_version_of_the_package(checkout: Path) -> None:
    projects = [checkout / "pyproject.toml", *checkout.glob("plugins/*/pyproject.toml")]
    versions = {str(path): tomllib.loads(path.read_text())["project"]["version"] for path in projects}
    assert set(versions.values()) == {corelaunch.__version__}, versions


def test_the_changelog_begins_with_the_present_version(checkout: Path) -> None:
    headings = re.findall(r"^## (\S+)", (checkout / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == corelaunch.__version__


def test_every_dependency_is_justified(checkout: Path) -> None:
    text = (checkout / "docs" / "dependencies.md").read_text()
    for path in [checkout / "pyproject.toml", *checkout.glob("plugins/*/pyproject.toml")]:
        data = tomllib.loads(path.read_text())
        project = data["project"]
        wanted = [*project.get("dependencies", ()), *data["build-system"]["requires"]]
        wanted += [name for extra in project.get("optional-dependencies", {}).values() for name in extra]
        for requirement in wanted:
            name = re.split(r"[<>=!~\[; ]", requirement)[0]
            assert name.startswith("corelaunch") or f"`{name}`" in text, f"{path}: {name}"


@pytest.mark.parametrize("pattern", [r"/work/(main|steering)", r"pypi\.org|files\.pythonhosted|deb\.debian\.org"])
def test_no_path_of_one_machine_and_no_registry_host_is_in_the_tree(checkout: Path, pattern: str) -> None:
    command = ["git", "-C", str(checkout), "grep", "-nE", pattern, "--", ".", ":!tests/meta/test_source_rules.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr


def test_no_backend_is_named_in_core(core: Any) -> None:
    """Core has no knowledge of the backends but for the defaults and the hints, which stand in one place."""
    allowed = {"corelaunch.plugins.registry", "corelaunch.plugins.defaults"}
    wrong = []
    for name, path in core.modules.items():
        if not name.startswith("corelaunch.testing") and name not in allowed:
            text = re.sub(r'""".*?"""|#[^\n]*', "", path.read_text(), flags=re.DOTALL)
            wrong += [(name, word) for word in ("corelaunch_cgroupfs", "pyroute2", "resctrl/", "veth") if word in text]
    assert wrong == []
