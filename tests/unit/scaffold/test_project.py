"""``corelaunch plugin new``: a project whose tests pass at once, or one line that says what is wrong, and nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corelaunch import hookspecs
from corelaunch.cli.main import main
from corelaunch.errors import KernelError
from corelaunch.scaffold import project

#: The longest name of each kind: lines are as long as they can be, and the class has every word of it.
LONGEST = {kind: f"aaaaaaaa-bbbbbbbb-cccccccc-dddd{kind[0]}" for kind in hookspecs.GROUPS}

#: Kinds that can be built on another plugin, and one that is installed here.
INNER = {"cgroup_manager": "cgroupfs", "rdt_manager": "resctrl"}

New = Callable[..., tuple[int, str, str]]


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> New:
    """Runs ``corelaunch plugin`` with these words in an empty directory: exit code, stdout, stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--root", str(tmp_path / "root"), "plugin", *words])
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize("kind", hookspecs.GROUPS)
@pytest.mark.parametrize("write", [str, lambda kind: kind.replace("_", "-")], ids=["underscore", "hyphen"])
def test_every_kind_has_a_project_with_all_that_belongs_to_one(
    new: New, kind: str, write: Callable[[str], str]
) -> None:
    code, out, err = new("new", write(kind), "my-own")
    assert (code, err) == (0, "")
    assert "cd corelaunch-my-own\n" in out
    own = Path("corelaunch-my-own")
    made = {str(path.relative_to(own)) for path in own.rglob("*") if path.is_file()}
    assert {
        "pyproject.toml",
        "README.md",
        ".gitignore",
        ".github/workflows/test.yml",
        "corelaunch_my_own/__init__.py",
        "corelaunch_my_own/py.typed",
        "tests/test_contract.py",
    } <= made
    metadata = tomllib.loads((own / "pyproject.toml").read_text())["project"]
    [(name, module)] = metadata["entry-points"][hookspecs.GROUPS[kind]].items()
    assert (name, f"{module.replace('.', '/')}.py" in made) == ("my-own", True)
    for path in made:
        text = (own / path).read_text()
        assert "}}" not in text.replace("${{", "") and "{{" not in text, path


@pytest.mark.parametrize(("kind", "inner"), INNER.items())
def test_a_manager_may_be_built_on_another_in_less_than_30_lines(new: New, kind: str, inner: str) -> None:
    code, _, err = new("new", kind, "my-own", "--on", inner)
    assert (code, err) == (0, "")
    own = Path("corelaunch-my-own")
    source = (own / "corelaunch_my_own/manager.py").read_text()
    assert f'load_manager("{kind}", "{inner}")' in source
    assert len(source.splitlines()) < 30
    needed = tomllib.loads((own / "pyproject.toml").read_text())["project"]["dependencies"]
    assert needed[1] == {"cgroupfs": "corelaunch-cgroupfs", "resctrl": "corelaunch-resctrl"}[inner]
    for path in own.rglob("*"):
        if path.is_file():
            assert "{{" not in path.read_text().replace("${{", ""), path


def test_the_directory_may_be_chosen(new: New, tmp_path: Path) -> None:
    code, out, _ = new("new", "lifecycle", "mine", "--directory", str(tmp_path / "elsewhere/"))
    assert code == 0
    assert f"cd {tmp_path}/elsewhere\n" in out
    assert os.listdir() == []
    assert (tmp_path / "elsewhere/pyproject.toml").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("new", "cgroups", "mine"), "no such kind of plugin: cgroups: there are cgroup-manager, rdt-manager, "),
        (("new", "rdt-manger", "mine"), "(did you mean rdt-manager?)"),
        (("new", "lifecycle", "Mine"), "invalid name of a plugin: 'Mine' (use lower-case letters, digits and s"),
        (("new", "lifecycle", "my_own"), "invalid name of a plugin: 'my_own'"),
        (("new", "lifecycle", "my--own"), "invalid name of a plugin: 'my--own'"),
        (("new", "lifecycle", "1st"), "invalid name of a plugin: '1st'"),
        (("new", "lifecycle", "own-"), "invalid name of a plugin: 'own-'"),
        (("new", "lifecycle", "../own"), "invalid name of a plugin: '../own'"),
        (("new", "lifecycle", "ö"), "invalid name of a plugin"),
        (("new", "lifecycle", ""), "invalid name of a plugin: ''"),
        (("new", "lifecycle", "a" * 33), "it has more than 32 characters"),
        (
            ("new", "cgroup-manager", "cgroupfs"),
            "there is a cgroup manager called 'cgroupfs' already: it is of corelaunch-cgroupfs",
        ),
        (("new", "network_strategy", "macvlan"), "called 'macvlan' already: it is of corelaunch-netstrategies"),
        (
            ("new", "lifecycle", "cgroupfs"),
            "there is a distribution called corelaunch-cgroupfs already: pip would replace it by yours",
        ),
        (("new", "lifecycle", "netstrategies"), "there is a distribution called corelaunch-netstrategies already"),
        (("new", "lifecycle", "mine", "--on", "audit"), "lifecycle plugin cannot be built on another: --on: only c"),
        (("new", "cgroup-manager", "mine", "--on", "cgroupsf"), "no cgroup manager called 'cgroupsf' is installed"),
        (("new", "cgroup-manager", "mine", "--on", "cgroupsf"), "(did you mean cgroupfs?)"),
        (("new", "lifecycle"), "plugin does one thing: new lifecycle (write plugin new KIND NAME)"),
        (("old", "lifecycle", "mine"), "write plugin new KIND NAME"),
        ((), '"plugin" requires a minimum of 1 argument(s)'),
        (("new", "lifecycle", "mine", "--directory", "no/such/place"), "cannot make the project: no/such/place: no"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(new: New, words: tuple[str, ...], line: str) -> None:
    code, out, err = new(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert line in err
    assert os.listdir() == []


@pytest.mark.parametrize("make", [os.mkdir, lambda path: Path(path).touch(), lambda path: os.symlink("nowhere", path)])
def test_what_is_there_is_left_alone(new: New, make: Callable[[str], None]) -> None:
    make("corelaunch-mine")
    before = os.lstat("corelaunch-mine")
    code, _, err = new("new", "lifecycle", "mine")
    assert (code, err) == (
        1,
        "corelaunch: cannot make the project: corelaunch-mine: it exists already (see --directory)\n",
    )
    assert os.lstat("corelaunch-mine") == before
    assert os.listdir() == ["corelaunch-mine"]


def test_a_full_disk_leaves_nothing(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(project._templates("lifecycle"))

    def half(kind: str) -> Iterator[tuple[str, str]]:
        yield from whole[:3]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(project, "_templates", half)
    with pytest.raises(KernelError, match="no space left"):
        project.write("lifecycle", "mine")
    assert os.listdir() == []


def test_a_project_is_clean_for_the_linters_whatever_its_name(new: New, tmp_path: Path) -> None:
    for kind, name in LONGEST.items():
        assert new("new", kind, name)[0] == 0
    for kind, inner in INNER.items():
        assert new("new", kind, f"{LONGEST[kind][:-2]}o{kind[0]}", "--on", inner)[0] == 0
    tools = Path(sys.executable).parent
    projects = sorted(Path().iterdir())
    assert len(projects) == len(hookspecs.GROUPS) + len(INNER)
    for one in projects:
        done = subprocess.run(
            [tools / "ruff", "check", "--no-cache", "."], cwd=one, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
    packages = [str(path) for one in projects for path in one.glob("corelaunch_*")]
    # Against the installed corelaunch, as its author does; errors of other packages are not his.
    check = [tools / "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), *packages]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment for the projects' plugins: ours, and a place of its own that pip installs into."""
    place = tmp_path_factory.mktemp("scaffold") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    [site] = place.glob("lib/python3*/site-packages")
    ours = [str(Path(hookspecs.__file__).parents[1]), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "ours.pth").write_text("".join(f"{path}\n" for path in ours))
    return place


@pytest.mark.needs_root
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="the contracts make cgroups and network namespaces")
@pytest.mark.parametrize(("kind", "inner"), [*((kind, "") for kind in hookspecs.GROUPS), *INNER.items()])
def test_a_project_can_be_installed_and_its_tests_pass(new: New, environment: Path, kind: str, inner: str) -> None:
    """Without a network: what it is built and tested with is in our environment."""
    name = f"scaffold-{kind.partition('_')[0]}{inner and '-on'}"
    assert new("new", kind, name, *(("--on", inner) if inner else ()))[0] == 0
    directory = Path(f"corelaunch-{name}")
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(environment), "LANG": "C.UTF-8"}
    install = ["-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-index", "--no-build-isolation", "."]
    test = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for words in (install, test):
        done = subprocess.run(
            [str(environment / "bin/python3"), *words],
            cwd=directory,
            env=clean,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "broken: 0" in done.stdout
    assert " passed" in done.stdout
