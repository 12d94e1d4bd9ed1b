"""Imports point one way, so that each part can be read, tested and replaced without those above it."""

from __future__ import annotations

import graphlib
import re
from pathlib import Path
from typing import Any

#: From the bottom up. A module imports from its own layer and from those below it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "records", "hookspecs", "deprecation", "code_pack", "code_pack_build", "lazy_os", "plugin_import"),
    ("spelling",),
    ("config_edits", "default_config", "edits", "seccomp_profile"),
    ("api", "jsontext", "log", "plain_toml", "terminal"),
    ("trace", "verb_trace", "trace_file", "live_trace", "trace_part"),
    ("_native", "_seccomp", "_watchdog"),
    ("kernel",),
    ("spec", "plan", "state", "bootstrap", "plugins"),
    (
        "adjustment",
        "backends",
        "cgroup_owner",
        "companion",
        "delegating",
        "configuration",
        "lifecycle",
        "moments",
        "network_files",
        "networks",
        "networks_step",
        "notify",
        "oci_hooks",
        "preparation",
        "process",
        "process_io",
        "settings",
        "teardown",
    ),
    (
        "checking",
        "collecting",
        "completing",
        "container",
        "control",
        "creation",
        "deletion",
        "execution",
        "farewell",
        "forgetting",
        "pausing",
        "signalling",
        "starting",
        "statistics",
        "sub_cgroup",
        "updating",
    ),
    ("runtime",),
    ("doctor", "features", "scaffold", "usage"),
    ("cli",),
    ("isolated",),
    ("__main__",),
)

#: (importer, imported) against the direction, and why.
EXCEPTIONS = {
    # load_manager(): a plugin that builds on another one has no other door than corelaunch.api.
    ("corelaunch.api", "corelaunch.plugins.registry"),
}

#: For the authors of plugins and their tests; it may use anything, and nothing of core uses it.
TESTING = "testing"


def layer_of(module: str) -> int:
    """The index of a module's layer; a module that stands in none is an error of this table."""
    name = module.split(".")[1] if "." in module else ""
    if not name:
        return 0
    for index, names in enumerate(LAYERS):
        if name in names:
            return index
    raise AssertionError(f"{module} has no layer: put it into LAYERS, and into ARCHITECTURE.md")


def is_ours(module: str) -> bool:
    return module == "corelaunch" or module.startswith("corelaunch.")


def is_testing(module: str) -> bool:
    return module.startswith(f"corelaunch.{TESTING}")


def test_no_module_imports_from_a_layer_above_its_own(core: Any) -> None:
    wrong = [
        edge
        for edge in core.imports()
        if is_ours(edge.target)
        and not is_testing(edge.importer)
        and (edge.importer, edge.target) not in EXCEPTIONS
        and layer_of(edge.target) > layer_of(edge.importer)
    ]
    assert wrong == []


def test_every_exception_is_still_needed(core: Any) -> None:
    assert EXCEPTIONS <= {(edge.importer, edge.target) for edge in core.imports()}


def test_nothing_of_core_imports_the_testing_package(core: Any) -> None:
    wrong = [edge for edge in core.imports() if is_testing(edge.target) and not is_testing(edge.importer)]
    assert wrong == []


def test_no_import_is_circular(core: Any) -> None:
    graph: dict[str, set[str]] = {}
    for edge in core.imports():
        if is_ours(edge.target) and not edge.lazy and edge.target != edge.importer:
            graph.setdefault(edge.importer, set()).add(edge.target)
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_only_two_modules_know_the_native_extensions(core: Any) -> None:
    doors = {edge.importer for edge in core.imports() if edge.target in ("corelaunch._native", "corelaunch._seccomp")}
    # corelaunch/__init__ is what "from .. import _seccomp" names.
    assert doors <= {"corelaunch.kernel.native", "corelaunch.kernel.seccomp", "corelaunch.kernel.enosys"}


def test_core_never_imports_a_plugin_package(core: Any, plugins: Any) -> None:
    packages = {name.split(".")[0] for source in plugins for name in source.modules}
    wrong = [edge for edge in core.imports() if edge.target.split(".")[0] in packages]
    assert wrong == []


def test_a_plugin_imports_nothing_of_core_but_the_api(plugins: Any) -> None:
    wrong = [
        edge
        for source in plugins
        for edge in source.imports()
        if is_ours(edge.target) and edge.target != "corelaunch.api" and not (is_testing(edge.target) and is_test(edge))
    ]
    assert wrong == []


def test_a_runtime_imports_nothing_of_core_but_what_is_public(runtimes: Any, checkout: Path) -> None:
    public = set(re.findall(r"`(corelaunch\.[a-z_]+)", (checkout / "docs/stability.md").read_text()))
    assert "corelaunch.runtime" in public
    wrong = [
        edge
        for source in runtimes
        for edge in source.imports()
        if is_ours(edge.target) and edge.target not in public and not (is_testing(edge.target) and is_test(edge))
    ]
    assert wrong == []


def is_test(edge: Any) -> bool:
    """Whether the importer is a test module of a plugin."""
    return edge.importer.split(".")[-1].startswith(("test_", "conftest"))


def test_a_plugin_does_not_import_another_plugin(plugins: Any) -> None:
    own = {name.split(".")[0] for source in plugins for name in source.modules}
    wrong = [
        edge
        for source in plugins
        for edge in source.imports()
        if (target := edge.target.split(".")[0]) in own and target != edge.importer.split(".")[0]
    ]
    assert wrong == []


def test_the_reader_of_imports_sees_what_is_there(core: Any) -> None:
    """If it saw nothing, all tests above would pass."""
    edges = {(edge.importer, edge.target, edge.lazy) for edge in core.imports()}
    assert ("corelaunch.kernel.native", "corelaunch._native", False) in edges
    assert ("corelaunch.kernel.seccomp", "corelaunch.kernel.enosys", True) in edges
    assert ("corelaunch.api", "corelaunch.plugins.registry", True) in edges
