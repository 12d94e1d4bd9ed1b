"""Real containers: what breaks a rule is not launched, whoever asked for it, and what runs can always be ended."""

import os

import pytest
from corelaunch_policy import plugin as policy

from corelaunch.api import ConfigError
from corelaunch.runtime import Runtime
from corelaunch.testing import bundles

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="host lacks: root")

RULES = """
[[rule]]
name = "no-hooks"
check = "hooks"
[[rule]]
name = "caps"
check = "capabilities"
allow = ["CAP_KILL", "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"]
"""


#: Another plugin, which comes after policy and adds an OCI hook.
HOOKING = """
from corelaunch.api import AddHook, hookimpl
corelaunch_api = 1

@hookimpl
def corelaunch_adjust_config():
    return [AddHook("poststop", "/bin/true")]
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    path = tmp_path / "policy.toml"
    path.write_text(RULES)
    monkeypatch.setattr(policy, "RULES", str(path))
    return path


@pytest.fixture
def bundle(tmp_path):
    rootfs = bundles.make_rootfs(tmp_path / "rootfs")
    return str(bundles.make_bundle(tmp_path / "bundle", rootfs, bundles.config("sleep", "60")))


@pytest.fixture
def runtime(tmp_path):
    """Its plugin is found by its entry point: the package has to be installed."""
    runtime = Runtime(str(tmp_path / "state"), plugins=["policy"])
    yield runtime
    for container_id in runtime.root.ids():
        runtime.load(container_id).delete(force=True)


def test_a_container_that_keeps_the_rules_runs_and_its_exec_is_held_to_them(runtime, bundle, rules):
    container = runtime.create(f"cl-policy-{os.getpid()}", bundle)
    container.start()
    process = {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    assert container.exec(process).wait(10) == 0
    with pytest.raises(ConfigError, match=r"'policy': not allowed here.*process.capabilities.bounding: CAP_SYS_ADMIN"):
        container.exec({**process, "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}})
    assert container.status == "running"
    rules.unlink()
    with pytest.raises(ConfigError, match="there are no rules, so nothing is allowed"):
        container.exec(process)
    container.signal(9)
    container.wait(10)
    assert runtime.load(container.id).state()["status"] == "stopped"
    container.delete()
    assert runtime.root.ids() == []


def test_what_a_later_plugin_adds_is_checked_and_nothing_is_made(runtime, bundle, rules, tmp_path, monkeypatch):
    (tmp_path / "cl_policy_hooking.py").write_text(HOOKING)
    (tmp_path / "cl_policy_hooking-1.dist-info").mkdir()
    entry_points = tmp_path / "cl_policy_hooking-1.dist-info/entry_points.txt"
    entry_points.write_text("[corelaunch.lifecycle]\nhooking = cl_policy_hooking\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    later = Runtime(str(tmp_path / "state"), plugins=["policy", "hooking"])
    for ask in (later.plan, later.create):
        with pytest.raises(ConfigError, match=r"'policy': not allowed.* no-hooks: hooks.poststop\[0\]: /bin/true"):
            ask(f"cl-policy-late-{os.getpid()}", bundle)
    assert runtime.root.ids() == []
