"""Promises of a cgroup manager about device rules, as the kernel enforces them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from corelaunch.api import ConfigError, KernelError

from .cgroup_stage import Made, Stage

DENY_ALL = {"allow": False, "access": "rwm"}


def kmsg(allow: bool, access: str) -> dict[str, Any]:
    """A rule for /dev/kmsg, which no container has by itself."""
    return {"allow": allow, "type": "c", "major": 1, "minor": 11, "access": access}


def opens(stage: Stage, made: Made) -> set[str]:
    """Which of null, read (of kmsg) and write (to kmsg) a process in the cgroup is allowed."""
    script = (
        "( : </dev/null ) 2>&- && echo null; ( : </dev/kmsg ) 2>&- && echo read; "
        "( : >>/dev/kmsg ) 2>&- && echo write; exit 0"
    )
    return set(stage.join(made, script).output().split())


class Devices:
    """``devices`` in ``set_resources`` and ``update_resources``: feature ``devices``."""

    def made(self, stage: Stage, *rules: Mapping[str, Any]) -> Made:
        """A cgroup with these rules."""
        stage.need("devices")
        stage.need_kernel()
        made = stage.create()
        stage.set(made, {"devices": list(rules)})
        return made

    def test_device_rules_hold(self, stage: Stage) -> None:
        """A device that no rule allows cannot be opened, one that every container has can."""
        allowed = opens(stage, self.made(stage, DENY_ALL))
        assert "null" in allowed, "/dev/null cannot be opened"
        assert allowed == {"null"}, f"/dev/kmsg can be opened, though no rule allows it: {allowed}"

    def test_device_rules_are_decided_access_by_access(self, stage: Stage) -> None:
        """Who may read may not write."""
        allowed = opens(stage, self.made(stage, DENY_ALL, kmsg(True, "r")))
        assert allowed == {"null", "read"}, f"allowed is to read /dev/kmsg, possible is {sorted(allowed)}"

    def test_the_last_device_rule_counts(self, stage: Stage) -> None:
        """In both directions."""
        allowed = opens(stage, self.made(stage, {"allow": True, "access": "rwm"}, kmsg(False, "w")))
        assert allowed == {"null", "read"}, f"all but writing is allowed, possible is {sorted(allowed)}"

    def test_new_device_rules_take_the_place_of_the_old_ones(self, stage: Stage) -> None:
        """They are a list, not additions to one."""
        stage.need("update")
        made = self.made(stage, DENY_ALL, kmsg(True, "r"))
        stage.update(made, {"devices": [DENY_ALL, kmsg(True, "w")]})
        assert opens(stage, made) == {"null", "write"}
        stage.update(made, {"pids": {"limit": 17}})
        assert opens(stage, made) == {"null", "write"}, "an update without device rules has changed them"

    def test_an_update_that_fails_leaves_the_device_rules_as_they_were(self, stage: Stage) -> None:
        """Whichever of its parts it is that fails."""
        stage.need("update", "limits")
        made = self.made(stage, DENY_ALL, kmsg(True, "r"))
        with pytest.raises((KernelError, ConfigError)):
            stage.update(made, {"devices": [DENY_ALL, kmsg(True, "w")], "pids": {"limit": 1 << 40}})
        assert opens(stage, made) == {"null", "read"}, "a failed update has changed the device rules"

    def test_a_malformed_device_rule_is_refused_with_its_path(self, stage: Stage) -> None:
        """And changes nothing."""
        made = self.made(stage, DENY_ALL, kmsg(True, "r"))
        with pytest.raises(ConfigError) as caught:
            stage.set(made, {"devices": [DENY_ALL, {"allow": True, "type": "teleport"}]})
        assert "devices[1]" in caught.value.where, f"the error does not say which rule it is: {caught.value.where!r}"
        assert opens(stage, made) == {"null", "read"}
