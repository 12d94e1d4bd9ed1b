"""Moments become spans of the right trace, and nothing that happens to a collector stops them."""

import importlib.util
import time

import pytest
from corelaunch_otel import context, export
from corelaunch_otel.plugin import ANNOTATION, Telemetry
from otlp_collector import facts, parse_with_protobuf

from corelaunch.api import LaunchStep, Moment, SetAnnotation

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{PARENT}-01"


class Life:
    """Tells a plugin of moments, and keeps its log."""

    def __init__(self, plugin=None, container_id="demo"):
        self.plugin, self.container_id, self.lines = plugin or Telemetry(), container_id, []

    def ask(self):
        return self.plugin.corelaunch_adjust_config(self.container_id)

    def tell(self, *names, **more):
        for name in names:
            moment = Moment(name, self.container_id, "/bundle", "plan", "running", 42, **more)
            self.plugin.corelaunch_moment(moment, lambda level, text: self.lines.append((level, text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CALLER, context.Context(TRACE, PARENT)),
        (f"00-{TRACE}-{PARENT}-00", context.Context(TRACE, PARENT, False)),
        (f"00-{TRACE}-{PARENT}-03", context.Context(TRACE, PARENT)),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", context.Context(TRACE, PARENT)),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        (f"00-{TRACE}-{PARENT}-1", None),
        ("", None),
    ],
)
def test_a_traceparent_is_understood_as_w3c_has_it(text, expected):
    assert context.parse(text) == expected


def test_a_verb_is_a_span_with_its_phases_below_it(spans_of):
    life = Life()
    assert life.ask() == []
    life.tell("creating", "hooks point", "created")
    create, *phases = spans_of()
    assert create["name"] == "corelaunch create" and "parentSpanId" not in create and "status" not in create
    assert facts(create) == {
        "container.id": "demo",
        "corelaunch.bundle": "/bundle",
        "corelaunch.verb": "create",
        "process.pid": "42",
    }
    assert [phase["name"].split()[0] for phase in phases] == ["check", "set", "hooks"]
    assert {phase["parentSpanId"] for phase in phases} == {create["spanId"]}
    assert {phase["traceId"] for phase in phases} == {create["traceId"]}
    times = [create["startTimeUnixNano"], *(phase["endTimeUnixNano"] for phase in phases)]
    assert times == sorted(times) and times[-1] == create["endTimeUnixNano"]


def test_steps_are_below_the_verb_and_what_plugins_did_below_its_step(spans_of):
    now = time.monotonic_ns()
    steps = (
        LaunchStep("cgroup create", "", now, 50),
        LaunchStep("create", "cgroup_manager:cgroupfs", now, 40),
        LaunchStep("mkdir", "cgroup_manager:cgroupfs", now + 5, 10),
        LaunchStep("place", "cgroup_manager:cgroupfs", now + 40, 10),
        LaunchStep("plan", "", now + 60, 30),
    )
    life = Life()
    life.ask()
    life.tell("creating")
    life.tell("failed", steps=steps, error="no")
    create, check, *spans = spans_of()
    assert check["name"] == "check and plan" and "status" not in check
    assert [span["name"] for span in spans] == [step.name for step in steps]
    ids = [span["spanId"] for span in spans]
    assert [span["parentSpanId"] for span in spans] == [create["spanId"], ids[0], ids[1], ids[0], create["spanId"]]
    assert [facts(span) for span in spans[:2]] == [{}, {"corelaunch.plugin": "cgroup_manager:cgroupfs"}]
    assert ["status" in span for span in spans] == [False] * 4 + [True]
    assert int(spans[4]["endTimeUnixNano"]) - int(spans[0]["startTimeUnixNano"]) == 90


def test_a_failed_create_says_why_and_at_which_step(spans_of):
    Life().tell("creating", "failed", error="no such file")
    create, phase = spans_of()
    for span in (create, phase):
        assert span["status"] == {"code": 2, "message": "no such file"}
        assert facts(span["events"][0]) == {"exception.message": "no such file"}
    assert facts(create)["corelaunch.step"] == "plan"


def test_a_veto_after_ours_is_a_failed_create_too(spans_of):
    Life().tell("creating", "created", "failed", error="vetoed")
    assert [span.get("status", {}).get("message") for span in spans_of()] == [None, None, "vetoed"]


def test_a_start_that_core_says_nothing_more_of_did_not_succeed(spans_of):
    Life().tell("starting", "stopped", "deleted")
    start, _, delete, _ = spans_of()
    assert (start["name"], start["status"]["code"]) == ("corelaunch start", 2)
    assert (delete["name"], "status" in delete) == ("corelaunch delete", False)


def test_a_whole_life_in_one_process_is_one_trace_with_the_exit_code(spans_of):
    life = Life()
    life.ask()
    life.tell("creating", "hooks point", "created", "starting", "started", "paused", "resumed", "updated")
    life.tell("executing", "executed", process={"args": ["sh", "-c", "secret"]})
    life.tell("stopped", "deleted", exit_status=7)
    spans = spans_of()
    assert len({span["traceId"] for span in spans}) == 1
    verbs = [facts(span)["corelaunch.verb"] for span in spans if span["attributes"]]
    assert verbs == ["create", "start", "pause", "resume", "update", "exec", "run", "delete"]
    [run] = [span for span in spans if span["name"] == "container runs"]
    assert facts(run)["process.exit.code"] == "7"
    [execution] = [span for span in spans if span["name"] == "corelaunch exec"]
    assert facts(execution)["process.executable.name"] == "sh" and "secret" not in str(spans)


def test_the_callers_trace_goes_on_and_later_verbs_find_it_in_the_annotation(spans_of, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", CALLER)
    monkeypatch.setenv("TRACESTATE", "vendor=1")
    first = Life()
    assert first.ask() == [SetAnnotation(ANNOTATION, CALLER)]
    first.tell("creating", "created")
    monkeypatch.delenv("TRACEPARENT")
    Life().tell("starting", "started", annotations={ANNOTATION: CALLER})
    create, start = (span for span in spans_of() if span["name"].startswith("corelaunch "))
    for span in (create, start):
        assert (span["traceId"], span["parentSpanId"]) == (TRACE, PARENT)
    assert create["traceState"] == "vendor=1"


def test_what_the_caller_does_not_sample_or_switches_off_is_not_told(file, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", CALLER[:-1] + "0")
    Life().tell("creating", "created")
    monkeypatch.delenv("TRACEPARENT")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    Life().tell("creating", "created")
    assert not file.exists()


def test_a_plan_leaves_no_span_behind(file):
    life = Life()
    life.ask()
    life.tell("executing")
    assert not file.exists()


def test_a_process_that_never_deletes_does_not_grow():
    plugin = Telemetry()
    for number in range(1100):
        life = Life(plugin, f"demo-{number}")
        life.ask()
        life.tell("creating", "created", "starting", "started")
    assert max(len(kept) for kept in vars(plugin).values() if isinstance(kept, dict)) <= 1024


def test_a_collector_gets_what_the_rules_of_otlp_ask(collector, monkeypatch, file):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,broken")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    life = Life()
    life.tell("creating", "created", "starting", "started", "stopped", "deleted", exit_status=0)
    assert [span["name"] for span in collector.spans if span["name"].startswith("corelaunch ")] == [
        "corelaunch create",
        "corelaunch start",
        "corelaunch delete",
    ]
    resource = facts(collector.requests[0]["resourceSpans"][0]["resource"])
    assert (resource["service.name"], resource["deployment.environment"]) == ("mine", "test")
    assert (life.lines, file.exists()) == ([], False)
    assert life.plugin.corelaunch_doctor()[0].status == "ok"


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is None, reason="host lacks: opentelemetry-proto")
def test_the_messages_of_opentelemetry_proto_understand_it(collector):
    Life().tell("creating", "failed", error="no such file")
    [of_resource] = parse_with_protobuf(collector.requests[0]).resource_spans
    create, phase = of_resource.scope_spans[0].spans
    assert (create.name, create.kind, create.status.code, create.status.message) == (
        "corelaunch create", 1, 2, "no such file",
    )  # fmt: skip
    assert (len(create.trace_id), phase.parent_span_id) == (16, create.span_id)
    assert create.end_time_unix_nano >= create.start_time_unix_nano > 1_600_000_000 * 10**9


@pytest.mark.parametrize("how", ["down", "refuses", "hangs", "https", "speaks something else"])
def test_a_collector_that_fails_is_told_of_once_and_stops_nothing(collector, monkeypatch, how):
    if how == "down":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    elif how == "refuses":
        collector.status = 503
    elif how == "hangs":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "50")
        collector.hang.clear()
    elif how == "https":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://127.0.0.1/v1/traces")
    else:
        monkeypatch.setattr(collector.RequestHandlerClass, "protocol_version", "SMTP")
    life = Life()
    life.tell("creating", "created", "starting", "started", "stopped", "deleted")
    [(level, text)] = life.lines
    assert level == "warning" and text.startswith("spans are lost: http") and "/v1/traces: " in text
    assert life.plugin.corelaunch_doctor()[0].status == "warn"
    monkeypatch.setattr(export, "PAUSE", 0.0)
    monkeypatch.setattr(life.plugin._exporter, "_again", time.monotonic())
    life.tell("creating", "created")
    assert len(life.lines) == 2, "after the pause there is another try"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://localhost/v1/traces", ("localhost", 4318, "/v1/traces")),
        ("http://[::1]:80/", ("::1", 80, "/")),
        ("http://[::1]", ("::1", 4318, "/")),
    ],
)
def test_urls(url, parts):
    assert export._parts(url) == parts


def test_a_file_that_cannot_be_written_is_told_of_once(file):
    file.mkdir()
    life = Life()
    life.tell("creating", "created", "starting", "started")
    assert life.lines == [("warning", f"spans are lost: {file}: is a directory")]


def test_what_is_no_utf_8_is_escaped_and_no_span_is_lost(spans_of, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", CALLER)
    monkeypatch.setenv("TRACESTATE", "a=\udcff")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "who=\udcfe")
    life = Life(container_id="demo\udcff")
    life.ask()
    life.tell("creating")
    life.tell("failed", error="no \ud83d")
    create, *_ = spans_of()
    assert facts(create)["container.id"] == "demo\\udcff"
    assert create["status"]["message"] == "no \\ud83d"
    assert life.lines == []
