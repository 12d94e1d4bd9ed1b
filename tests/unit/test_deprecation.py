"""A deprecated name or hook works as ever, and is told once, to author and operator."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from corelaunch import api, hookspecs
from corelaunch.deprecation import take, uses_of
from corelaunch.plugins import registry
from corelaunch.plugins.guard import Guard, no_log
from corelaunch.plugins.hooks import hook_names
from corelaunch.plugins.lifecycle_hooks import check_hooks

TEXT = "{} uses corelaunch.api.OldHandle, which is deprecated since 0.2: use corelaunch.api.ProcessHandle"


@pytest.fixture(autouse=True)
def one_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "DEPRECATED", {"OldHandle": ("ProcessHandle", "0.2")})
    take()


def use_in(module: str) -> ModuleType:
    """A module of this name that uses the old name twice."""
    made = ModuleType(module)
    code = "from corelaunch.api import OldHandle\nimport corelaunch.api\nagain = corelaunch.api.OldHandle\n"
    exec(compile(code, f"{module}.py", "exec"), made.__dict__)
    return made


def test_the_author_sees_a_warning_with_file_and_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = use_in("cl_dep_author")
    assert made.OldHandle is made.again is api.ProcessHandle
    assert [(str(one.message), one.filename, one.lineno) for one in caught] == [
        (TEXT.format("cl_dep_author"), "cl_dep_author.py", 1),
        (TEXT.format("cl_dep_author"), "cl_dep_author.py", 3),
    ]
    assert all(one.category is DeprecationWarning for one in caught)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_log_has_one_line_for_each_module_and_name() -> None:
    logged: list[tuple[str, str]] = []
    guard = Guard(lambda level, message: logged.append((level, message)))
    guard("plugin", "import", use_in, "cl_dep_one.deep")
    guard("plugin", "call", use_in, "cl_dep_one.deep")
    guard("plugin", "call", use_in, "cl_dep_two")
    assert logged == [("warning", TEXT.format("cl_dep_one.deep")), ("warning", TEXT.format("cl_dep_two"))]
    assert uses_of("cl_dep_one") == [TEXT.format("cl_dep_one.deep")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_guard_without_a_log_leaves_the_line_to_one_that_has_one() -> None:
    logged: list[str] = []
    outer = Guard(lambda level, message: logged.append(message))
    outer("plugin", "call", lambda: Guard(no_log)("other", "call", use_in, "cl_dep_nested"))
    assert logged == [TEXT.format("cl_dep_nested")]


class Old:
    """A lifecycle plugin with a hook that is on its way out."""

    corelaunch_api = 1

    @api.hookimpl
    def corelaunch_features(self) -> dict[str, str]:
        return {}


def test_a_deprecated_hook_is_told_to_the_author_with_its_place_and_is_still_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hookspecs, "DEPRECATED", {"corelaunch_features": ("corelaunch_doctor", "0.2")})
    with pytest.warns(DeprecationWarning, match="implements corelaunch_features, which is deprecated") as seen:
        found = check_hooks(Old(), "old", "old 1")
    assert (seen[0].filename, seen[0].lineno) == (__file__, Old.corelaunch_features.__code__.co_firstlineno)
    assert list(found) == ["corelaunch_features"]
    logged: list[str] = []
    guard = Guard(lambda level, message: logged.append(message))
    guard("lifecycle plugin 'old'", "call", found["corelaunch_features"][0])
    assert logged == [
        f"{__name__} implements corelaunch_features, which is deprecated since 0.2: use corelaunch_doctor"
    ]


def test_a_deprecated_hook_that_gives_a_backend_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DEPRECATED", {"corelaunch_cgroup_manager": ("something else", "0.2")})
    (tmp_path / "cl_dep_backend.py").write_text(
        "from corelaunch.api import CgroupManager, hookimpl\ncorelaunch_api = 1\n"
        "class Manager(CgroupManager):\n    place = create = add_process = processes = destroy = lambda *_: None\n"
        "@hookimpl\ndef corelaunch_cgroup_manager():\n    return Manager()\n"
    )
    metadata = tmp_path / "cl_dep-1.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[corelaunch.cgroup_managers]\nold = cl_dep_backend\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(DeprecationWarning, match="cl_dep_backend implements corelaunch_cgroup_manager"):
        registry.Registry([str(tmp_path)]).load("cgroup_manager", "old")


def test_every_deprecated_hook_is_one() -> None:
    assert set(hookspecs.DEPRECATED) <= set(hook_names())


def test_every_deprecated_name_leads_to_one_of_the_api_and_is_not_in_its_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for old, (new, _) in api.DEPRECATED.items():
        assert new in api.__all__ and old not in api.__all__
        assert not hasattr(api, old) or getattr(api, old) is getattr(api, new)


def test_who_uses_none_imports_nothing_for_it() -> None:
    program = (
        "import sys\nfrom corelaunch.plugins.guard import Guard\nGuard(print)('a', 'b', int, '7')\n"
        "from corelaunch.api import ProcessHandle\nsys.exit('corelaunch.deprecation' in sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=30
    )
