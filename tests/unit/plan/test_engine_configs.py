"""configs that engines handed to a runtime: each plans, or is refused for a reason that is listed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corelaunch.errors import CorelaunchError
from corelaunch.plan import Plan, setns_plan
from corelaunch.spec.check import check_config, find
from corelaunch.spec.process import check_process
from corelaunch.spec.resources import check_resources

DIRECTORY = Path(__file__).parents[2] / "fixtures" / "engine-configs"

#: Why a config is not planned; all others are.
REASONS = {
    "cri-config-782737fc": r"hostname: cannot be set without a uts namespace",  # runc refuses it likewise
}
CONFIGS = sorted(path.stem for path in DIRECTORY.glob("*-config-*.json"))


def read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text())
    return values


def test_there_are_configs_and_the_table_names_no_other() -> None:
    assert len(CONFIGS) >= 20
    assert set(REASONS) <= set(CONFIGS)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in REASONS])
def test_a_config_of_an_engine_plans(name: str, plan_of: Any, decode: Any) -> None:
    config = read(name)
    assert check_config(config) == []
    assert find(config).unknown == []
    plan: Plan = plan_of(config, terminal=bool(config["process"].get("terminal")))
    assert plan.warnings == ()
    assert len(decode(plan.encode())) == len(plan.operations)


@pytest.mark.parametrize("name", REASONS)
def test_a_config_of_an_engine_is_refused_for_the_listed_reason(name: str) -> None:
    with pytest.raises(CorelaunchError, match=f"^config.json: {REASONS[name]}"):
        check_config(read(name))


def test_the_process_of_an_engine_plans(config: dict[str, Any]) -> None:
    (name,) = (path.stem for path in DIRECTORY.glob("*-process-*.json"))
    process = read(name)
    assert check_process(process) == []
    assert setns_plan(process, config, terminal=False).encode()


def test_the_resources_of_an_engine_are_right() -> None:
    (name,) = (path.stem for path in DIRECTORY.glob("*-resources-*.json"))
    assert check_resources(read(name)) == []
