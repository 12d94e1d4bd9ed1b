"""What a plugin does to descriptors that are not its own fails the launch in its name, and leaves no container."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import CorelaunchError, PluginError
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

Bundle = Callable[..., Path]

STRATEGY = """
import os
import corelaunch.api as api
corelaunch_api = 1
class Rude(api.NetworkStrategy):
    def place(self, request):
        return api.NetworkPlacement(container_name="eth0")
    def create(self, placement, process, ctx):
        pass
    def initialize(self, placement, netlink_fd, ctx):
        DEED
    def destroy(self, placement, effects):
        pass
@api.hookimpl
def corelaunch_network_strategy():
    return Rude()
"""


def with_strategy(runtime: Runtime, site: Path, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "corelaunch_rude-1.0.dist-info").mkdir(parents=True)
    metadata = site / "corelaunch_rude-1.0.dist-info/entry_points.txt"
    metadata.write_text("[corelaunch.network_strategies]\nrude = cl_rude\n")
    (site / "cl_rude.py").write_text(STRATEGY.replace("DEED", deed))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "cl_rude", raising=False)
    runtime.registry = Registry([str(site), *sys.path])


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


def children() -> set[str]:
    """The processes that would be a container's: all of ours."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize(
    ("deed", "did"),
    [
        ("os.close(netlink_fd)", "closed"),
        ("os.dup2(os.open('/dev/null', os.O_RDONLY), netlink_fd)", "replaced"),
        ("os.close(netlink_fd); assert os.open('/dev/null', os.O_RDONLY) == netlink_fd", "replaced"),
    ],
)
def test_a_strategy_that_keeps_not_the_socket_that_it_was_lent_is_named_and_leaves_no_container(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str, did: str
) -> None:
    with_strategy(runtime, tmp_path / "site", deed, monkeypatch)
    before = children()
    with pytest.raises(PluginError) as caught:
        runtime.create("cl-lent", str(bundle("sleep", "100", change=without_cgroup)), io=silent(), networks=["rude"])
    assert caught.value.line() == (
        f"plugin network_strategy:rude:0 is broken: initialize: it {did} the socket that it was lent (netlink_fd)"
    )
    assert "os.dup(netlink_fd)" in caught.value.hint
    assert (runtime.root.ids(), children()) == ([], before)


def test_the_strategys_own_error_is_the_one_that_is_told(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deed = "os.close(netlink_fd); raise api.ConfigError('no such thing', where='eth0')"
    with_strategy(runtime, tmp_path / "site", deed, monkeypatch)
    with pytest.raises(CorelaunchError, match="no such thing: eth0"):
        runtime.create("cl-lent", str(bundle("true", change=without_cgroup)), io=silent(), networks=["rude"])
    assert runtime.root.ids() == []


def test_a_plugin_that_closes_what_core_holds_does_not_stop_the_undoing(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every descriptor above the standard ones: the socket to the child, its pidfds, the journal's own not."""
    deed = (
        "[os.close(int(fd)) for fd in os.listdir('/proc/self/fd') if int(fd) > 2 and os.path.exists(f'/proc/self/fd/"
        "{fd}') and os.readlink(f'/proc/self/fd/{fd}').startswith(('anon_inode:[pidfd', 'pidfd:'))]"
    )
    with_strategy(runtime, tmp_path / "site", deed, monkeypatch)
    before = children()
    with pytest.raises(CorelaunchError):
        asked = bundle("sh", "-c", "true", change=lambda config: (without_cgroup(config), failing(config)))
        runtime.create("cl-lent", str(asked), io=silent(), networks=["rude"])
    assert (runtime.root.ids(), children()) == ([], before)


def failing(config: dict[str, Any]) -> None:
    config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
