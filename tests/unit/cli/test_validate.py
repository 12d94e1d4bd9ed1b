"""validate: every finding, one line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

GOOD: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {"args": ["true"], "cwd": "/"},
    "linux": {"namespaces": [{"type": "mount"}]},
}


def bundle(directory: Path, **changes: Any) -> str:
    (directory / "rootfs").mkdir()
    (directory / "config.json").write_text(json.dumps({**GOOD, **changes}))
    return str(directory)


def test_a_good_bundle_is_silent(cli: Cli, tmp_path: Path) -> None:
    assert cli("validate", "--bundle", bundle(tmp_path)) == (0, "", "")


def test_every_error_is_a_line_with_its_path(cli: Cli, tmp_path: Path) -> None:
    wrong = bundle(
        tmp_path,
        process={"args": [], "cwd": "x"},
        linux={"namespaces": [{"type": "mount"}, {"type": "bogus"}], "resources": {"pids": {"limit": "many"}}},
        later=1,
    )
    outcome = cli("validate", "-b", wrong)
    assert (outcome.code, outcome.err) == (1, "")
    lines = outcome.out.splitlines()
    for path in ("process.args", "process.cwd", "linux.namespaces[1].type", "linux.resources.pids.limit"):
        assert sum(line.startswith("error: ") and path in line for line in lines) == 1, (path, lines)
    assert "warning: later: not in the runtime-spec: it is ignored" in lines


def test_warnings_alone_are_no_failure(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("validate", "-b", bundle(tmp_path, later=1))
    assert (outcome.code, outcome.out) == (0, "warning: later: not in the runtime-spec: it is ignored\n")


def test_json_has_the_parts(cli: Cli, tmp_path: Path) -> None:
    wrong = bundle(tmp_path, process={"args": ["x"], "cwd": "x"})
    outcome = cli("validate", "--json", "-b", wrong)
    assert outcome.code == 1
    [finding] = json.loads(outcome.out)
    assert (finding["level"], finding["where"], finding["unsupported"]) == ("error", "process.cwd", False)
    assert finding["why"] and finding["text"]


@pytest.mark.parametrize("content", ["", "{]", "[]", None])
def test_what_is_no_config_is_one_error_and_still_json(cli: Cli, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    outcome = cli("validate", "-b", str(tmp_path))
    assert (outcome.code, outcome.err, outcome.out.count("\n")) == (1, "", 1)
    assert outcome.out.startswith("error: ")
    assert len(json.loads(cli("validate", "--json", "-b", str(tmp_path)).out)) == 1
