"""Makes the pack of ``code_pack``: what is compiled, what is left out of it, and what lies together.

Run by the build, never by the command. The code of a packed module does the same as its source, without what only
readers and type checkers need: docstrings, assertions, annotations of functions, ``if TYPE_CHECKING:``.
"""

from __future__ import annotations
import __future__

import ast
import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import CodeType
    from typing import Any

#: Directories without modules, and the contract suites, which no command imports.
_LEFT_OUT = ("__pycache__", "_libexec", "testing")

#: Roots of what is read in one piece: with what they import at once, but for what is in a piece before. Made for the
#: verbs: what all have, what looks for a container, signals, writes, starts, needs a backend, takes down, executes,
#: creates. Any other module is a piece of its own, with what it alone imports.
_TOGETHER = (
    ("cli.main", "cli.command"),
    ("runtime",),
    ("process",),
    ("state.book",),
    ("starting",),
    ("plugins.registry", "plugins.watchdog", "backends", "kernel.mountinfo"),
    ("deletion",),
    ("cli.launch", "execution"),
    ("preparation", "creation"),
)

#: Modules that the command imports before it has the pack, or that are no part of it.
_NOT_PACKED = ("corelaunch.code_pack_build",)


def build(package: str) -> bytes:
    """The pack of the package in this directory: magic number, length of the index, index, groups of code.

    The index is (modules, groups): name -> (is a package, size of its source, group, place in the group, the modules
    of the package that it imports at once) and (offset, size) of each group.
    """
    sources = dict(_sources(package))
    trees = {name: ast.parse(text) for name, (_, _, text) in sources.items()}
    imports = {name: _imports(name, sources[name][0], tree, sources) for name, tree in trees.items()}
    modules: dict[str, tuple[bool, int, int, int, tuple[str, ...]]] = {}
    places: list[tuple[int, int]] = []
    blobs = b""
    for number, names in enumerate(_groups(imports)):
        codes: list[CodeType] = []
        for name in names:
            is_package, path, text = sources[name]
            modules[name] = (is_package, len(text), number, len(codes), () if is_package else imports[name])
            codes.append(_compiled(trees[name], path))
        # In one go: a word that several modules use is written, and read, once.
        blob = marshal.dumps(tuple(codes))
        places.append((len(blobs), len(blob)))
        blobs += blob
    head = marshal.dumps((modules, tuple(places)))
    return MAGIC_NUMBER + len(head).to_bytes(4, "little") + head + blobs


#: What the command needs before it has a pack, in the order of their imports.
_FIRST = ("corelaunch", "corelaunch.lazy_os", "corelaunch.code_pack", "corelaunch.plugin_import", "corelaunch.isolated")

#: As corelaunch/__main__.py, with the first modules in it. One that was edited since leaves all to their files.
_BOOT = """
import posix, sys
from _frozen_importlib import ModuleSpec
site = __file__.rpartition("/corelaunch/")[0]
sys.path.append(site)
newest = posix.stat(__file__).st_mtime + 30
def is_as_built(path, size):
    try:
        status = posix.stat(f"{site}/{path}")
    except OSError:
        return False
    return status.st_size == size and status.st_mtime <= newest
if all(is_as_built(path, size) for name, path, size, code in "MODULES"):
    for name, path, size, code in "MODULES":
        module = sys.modules[name] = type(sys)(name)
        module.__file__ = f"{site}/{path}"
        module.__package__ = "corelaunch"
        module.__spec__ = ModuleSpec(name, None, origin=module.__file__, is_package=name == "corelaunch")
        if name == "corelaunch":
            module.__path__ = module.__spec__.submodule_search_locations = [f"{site}/corelaunch"]
        else:
            setattr(sys.modules["corelaunch"], name[11:], module)
        exec(code, module.__dict__)
from corelaunch.isolated import start
start([site], packed=True)
"""


def boot_name() -> str:
    """Name of the boot file for the running Python, beside the pack; the front looks for it."""
    return f"boot.{sys.implementation.cache_tag}.pyc"


def boot(package: str) -> bytes:
    """A .pyc file that starts the command as corelaunch/__main__.py does: nothing to compile, nothing to search."""
    sources = dict(_sources(package))
    modules: list[tuple[str, str, int, CodeType]] = []
    for name in _FIRST:
        _, path, text = sources[name]
        modules.append((name, path, len(text), _compiled(ast.parse(text), path)))
    code = compile(_BOOT, "corelaunch/__main__.py", "exec", dont_inherit=True, optimize=2)
    constants: Any = tuple(tuple(modules) if constant == "MODULES" else constant for constant in code.co_consts)
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(code.replace(co_consts=constants))


def _sources(package: str) -> Iterator[tuple[str, tuple[bool, str, bytes]]]:
    """Name -> (is a package, path below the directory of the package, text) of each module."""
    for directory, names, files in os.walk(package):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT)
        for file in sorted(files):
            path = os.path.join(directory, file)
            relative = path[len(package) - len("corelaunch") :]
            is_package = file == "__init__.py"
            name = (relative.removesuffix("/__init__.py") if is_package else relative[:-3]).replace("/", ".")
            if file.endswith(".py") and name not in _NOT_PACKED:
                with open(path, "rb") as source:
                    yield name, (is_package, relative, source.read())


def _compiled(tree: ast.Module, path: str) -> CodeType:
    _Lean().visit(tree)
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(tree, path, "exec", flags=flags, dont_inherit=True, optimize=2)
    return code


class _Lean(ast.NodeTransformer):
    """Takes out what does nothing when the code runs."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_If(self, node: ast.If) -> ast.AST | Sequence[ast.AST]:
        self.generic_visit(node)
        return node.orelse if _is_type_checking(node) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        these = node.args
        for argument in (*these.posonlyargs, *these.args, *these.kwonlyargs, these.vararg, these.kwarg):
            if argument is not None:
                argument.annotation = None
        self.generic_visit(node)
        return node


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(name: str, is_package: bool, tree: ast.Module, known: Mapping[str, object]) -> tuple[str, ...]:
    """The modules of the package that a module imports when it is run."""
    parent = name if is_package else name.rpartition(".")[0]
    found: dict[str, None] = {}
    todo = list[ast.AST](tree.body)
    while todo:
        node = todo.pop(0)
        if _is_type_checking(node) or isinstance(node, ast.FunctionDef):
            continue
        todo.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom):
            packages = parent.split(".")
            base = packages[: len(packages) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found.update(dict.fromkeys(other for other in names if other in known and other != name))
    return tuple(found)


def _groups(imports: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Which modules lie together; each is in one group."""
    seen: set[str] = set()
    groups = []
    for roots in (*_TOGETHER, *((name.removeprefix("corelaunch."),) for name in imports)):
        group = [name for root in roots for name in _with_imports(f"corelaunch.{root}", imports, seen)]
        if group:
            groups.append(group)
    return groups


def _with_imports(name: str, imports: dict[str, tuple[str, ...]], seen: set[str]) -> list[str]:
    """A module and, before it, its package and what it imports at once, without what was seen before."""
    if name in seen or name not in imports:
        return []
    seen.add(name)
    needed = (name.rpartition(".")[0], *imports[name])
    before = [found for other in needed for found in _with_imports(other, imports, seen)]
    return [*before, name]
