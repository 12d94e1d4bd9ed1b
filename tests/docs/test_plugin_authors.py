"""docs/plugin-authors.md says what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from corelaunch import hookspecs
from corelaunch.testing.cgroup_promises_up import FEATURES as CGROUP_FEATURES
from corelaunch.testing.network_stage import FEATURES as NETWORK_FEATURES
from corelaunch.testing.pytest_plugin import CONTRACTS

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs/plugin-authors.md").read_text()
EXAMPLE = CHECKOUT / "examples/corelaunch-flat"


@pytest.mark.parametrize("file", ["corelaunch_flat.py", "tests/test_flat_contract.py"])
def test_the_code_on_the_page_is_the_example(file: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert (EXAMPLE / file).read_text() in blocks


def test_the_metadata_on_the_page_is_that_of_the_example() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    lines = (EXAMPLE / "pyproject.toml").read_text().split("\n")
    assert [line for line in block.split("\n") if line not in lines] == []


def test_the_example_has_less_than_40_lines_of_code() -> None:
    lines = [line for line in (EXAMPLE / "corelaunch_flat.py").read_text().split("\n") if line.strip()]
    assert len(lines) < 40


def test_the_example_imports_only_the_api() -> None:
    tree = ast.parse((EXAMPLE / "corelaunch_flat.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"os", "corelaunch.api"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_every_hook_is_on_the_page_with_its_signature() -> None:
    for name, hook in vars(hookspecs).items():
        if name.startswith("corelaunch_"):
            assert f"`{name}{inspect.signature(hook)}`".replace("'", "") in PAGE


def test_every_group_moment_feature_and_contract_is_on_the_page() -> None:
    words = [*hookspecs.GROUPS.values(), *hookspecs.MOMENTS, *CGROUP_FEATURES, *NETWORK_FEATURES]
    words += [path.partition(":")[2].join(("corelaunch.testing.", "")) for path, _ in CONTRACTS.values()]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
