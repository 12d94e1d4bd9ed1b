"""Lifecycle plugin ``policy``: no container, and no process of ``exec``, that breaks a rule of the site.

The rules are read only where something can still be stopped: ``create``, ``run``, ``plan`` and ``exec``. ``start``,
``kill``, ``delete`` and all others go on whatever has become of the file.
"""

from __future__ import annotations

from corelaunch.api import ConfigError, CorelaunchError, DoctorCheck, hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import Moment, PlanEdit

corelaunch_api = 1

#: Not to be chosen by the environment: whoever may set that could choose to have no rules.
RULES = "/etc/corelaunch/policy.toml"


@hookimpl
def corelaunch_adjust_plan(config: Mapping[str, Any], container_id: str, bundle: str) -> Sequence[PlanEdit]:
    """Check the config as all plugins have left it: this hook comes after every ``corelaunch_adjust_config``."""
    _refuse(config, container_id, bundle, config.get("annotations") or {}, of_process=False)
    return []


@hookimpl
def corelaunch_moment(moment: Moment) -> None:
    """Check the process of an ``exec`` by those rules that are about processes."""
    if moment.name == "executing":
        config = {"process": moment.process}
        _refuse(config, moment.container_id, moment.bundle, moment.annotations, of_process=True)


@hookimpl
def corelaunch_doctor() -> Sequence[DoctorCheck]:
    from . import rules

    try:
        found = rules.read(RULES)
    except CorelaunchError as error:
        return [DoctorCheck("policy", "fail", f"every container is refused: {error.line()}", hint=error.hint)]
    return [DoctorCheck("policy", "ok", f"{RULES}: {', '.join(rule.name for rule in found)}")]


def _refuse(
    config: Mapping[str, Any], container_id: str, bundle: str, annotations: Mapping[str, str], *, of_process: bool
) -> None:
    from . import rules

    broken = []
    for rule in rules.read(RULES):
        if (of_process and not rule.check.of_process) or rule.excuses(container_id, annotations):
            continue
        found = list(rule.check.look(config, bundle, **rule.options))
        if found:
            reason = f" ({rule.reason})" if rule.reason else ""
            broken.append(f"{rule.name}{reason}: " + "; ".join(f"{path}: {text}" for path, text in found))
    if broken:
        what = "not allowed here" if len(broken) == 1 else f"not allowed here, by {len(broken)} rules"
        raise ConfigError(what, where=RULES, why=" | ".join(broken))
