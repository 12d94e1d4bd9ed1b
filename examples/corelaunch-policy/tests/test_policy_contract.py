"""policy keeps every promise of a lifecycle plugin, with rules that its container keeps."""

import pytest
from corelaunch_policy import plugin as policy

from corelaunch.testing import LifecycleContract

RULES = """
[[rule]]
name = "hooks"
check = "hooks"
[[rule]]
name = "namespaces"
check = "namespaces"
"""


class TestPolicy(LifecycleContract):
    @pytest.fixture
    def plugin(self, tmp_path_factory, monkeypatch):
        rules = tmp_path_factory.mktemp("rules") / "policy.toml"
        rules.write_text(RULES)
        monkeypatch.setattr(policy, "RULES", str(rules))
        return policy
