"""The source tree as the meta tests see it: files and who imports whom, read and never imported."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


class Import:
    """One module that another one names in an import statement."""

    def __init__(self, importer: str, target: str, line: int, *, lazy: bool) -> None:
        self.importer = importer
        self.target = target
        self.line = line
        self.lazy = lazy

    def __repr__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


class _Visitor(ast.NodeVisitor):
    """Collects imports, without those that only the type checker sees."""

    def __init__(self, source: Source, module: str, *, is_package: bool) -> None:
        self.source = source
        self.module = module
        self.package = module if is_package else module.rpartition(".")[0]
        self.found: list[Import] = []
        self.depth = 0

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self.package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            self._add(whole if whole in self.source.modules else base, node)

    def _add(self, target: str, node: ast.stmt) -> None:
        self.found.append(Import(self.module, target, node.lineno, lazy=self.depth > 0))


class Source:
    """All Python modules below one directory that is on the import path."""

    def __init__(self, root: Path, package: str) -> None:
        self.root = root
        self.modules = {self._name(path): path for path in sorted((root / package).rglob("*.py"))}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self) -> Iterator[Import]:
        for name, path in self.modules.items():
            visitor = _Visitor(self, name, is_package=path.name == "__init__.py")
            visitor.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
            yield from visitor.found


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def core() -> Source:
    """The package corelaunch."""
    return Source(CHECKOUT, "corelaunch")


@pytest.fixture(scope="session")
def plugins() -> list[Source]:
    """The packages of plugins/ and of examples/ that are plugins: corelaunch finds them by their entry points."""
    found = _packages(is_plugin=True)
    assert found, "no plugin was found: the tests that ask for them would prove nothing"
    return found


@pytest.fixture(scope="session")
def runtimes() -> list[Source]:
    """The packages of examples/ that use corelaunch, and are not used by it."""
    found = _packages(is_plugin=False)
    assert found, "no runtime was found: the tests that ask for them would prove nothing"
    return found


def _packages(*, is_plugin: bool) -> list[Source]:
    found = []
    for project in sorted([*CHECKOUT.glob("plugins/*/pyproject.toml"), *CHECKOUT.glob("examples/*/pyproject.toml")]):
        if ("entry-points" in tomllib.loads(project.read_text())["project"]) is not is_plugin:
            continue
        for package in sorted(project.parent.glob("*/__init__.py")):
            if package.parent.name != "tests":
                found.append(Source(project.parent, package.parent.name))
        for module in sorted(project.parent.glob("*.py")):
            found.append(Source(project.parent, module.name))
            found[-1].modules = {module.stem: module}
    return found
