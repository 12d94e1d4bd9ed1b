"""Real containers, with the plugin as it is installed and a collector in this process."""

import os

import pytest
from otlp_collector import facts

from corelaunch.api import CorelaunchError
from corelaunch.runtime import Runtime
from corelaunch.testing import bundles

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="host lacks: root")


@pytest.fixture
def bundle(tmp_path):
    rootfs = bundles.make_rootfs(tmp_path / "rootfs")
    return lambda *args: str(bundles.make_bundle(tmp_path / "bundle", rootfs, bundles.config(*args)))


@pytest.fixture
def runtime(tmp_path):
    """Its plugin is found by its entry point: the package has to be installed."""
    lines = []
    runtime = Runtime(str(tmp_path / "state"), plugins=["otel"], log=lambda level, text: lines.append((level, text)))
    runtime.lines = lines
    yield runtime
    assert runtime.root.ids() == []


def test_a_launch_goes_on_in_its_callers_trace(runtime, bundle, collector, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-01")
    container_id = f"cl-otel-{os.getpid()}"
    assert runtime.run(container_id, bundle("sh", "-c", "exit 7")) == 7
    verbs = {facts(span)["corelaunch.verb"]: span for span in collector.spans if "corelaunch.verb" in facts(span)}
    assert list(verbs) == ["create", "start", "run", "delete"]
    assert {(span["traceId"], span["parentSpanId"]) for span in verbs.values()} == {(TRACE, PARENT)}
    assert {facts(span)["container.id"] for span in verbs.values()} == {container_id}
    assert facts(verbs["run"])["process.exit.code"] == "7"
    below = {span["name"]: span for span in collector.spans if span.get("parentSpanId") == verbs["create"]["spanId"]}
    assert {"check and plan", "cgroup create", "spawn", "bootstrap", "end of sync"} <= set(below)
    [made] = [span for span in collector.spans if span.get("parentSpanId") == below["cgroup create"]["spanId"]]
    assert (made["name"], facts(made)["corelaunch.plugin"]) == ("create", "cgroup_manager:cgroupfs")
    assert not [line for line in runtime.lines if line[0] == "warning"]


def test_a_launch_that_fails_is_a_span_with_the_reason(runtime, bundle, collector):
    with pytest.raises(CorelaunchError) as caught:
        runtime.run(f"cl-otel-fails-{os.getpid()}", bundle("/nonexistent"))
    create = collector.spans[0]
    assert create["status"] == {"code": 2, "message": str(caught.value)}
    assert facts(create)["corelaunch.step"] == caught.value.step


def test_without_its_collector_a_container_runs_and_the_log_says_so_once(runtime, bundle, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("corelaunch_otel.plugin.telemetry._exporter._again", 0.0)
    assert runtime.run(f"cl-otel-alone-{os.getpid()}", bundle("true")) == 0
    warnings = [text for level, text in runtime.lines if level == "warning"]
    assert warnings == [
        "lifecycle plugin 'otel': spans are lost: http://127.0.0.1:1/v1/traces: connection refused"
    ]
    monkeypatch.undo()
