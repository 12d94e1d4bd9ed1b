"""Lifecycle plugin ``otel``: a span for each verb of a container's life, with one below it for each of its phases.

``create``, ``start`` and ``delete`` may be processes of their own, and ``run`` does all three in one: what is
remembered between moments is of a verb that is under way, and lost with its process without harm.
"""

from __future__ import annotations

import os
import time
from _thread import get_ident

from corelaunch.api import DoctorCheck, SetAnnotation, hookimpl

from .context import Context, new_span_id, new_trace, parse
from .export import FILE, Exporter, endpoint, export
from .otlp import request, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from corelaunch.api import ConfigEdit, Moment

VERSION = "0.1.0"

#: Keeps the caller's trace for ``start`` and ``delete``, whose callers may say nothing of it.
ANNOTATION = "org.example.traceparent"

#: Moment that begins a verb -> the verb, and what takes its time until the next moment.
_BEGINS = {
    "creating": ("create", "set up namespaces, cgroup, networks and mounts"),
    "starting": ("start", "execute the program"),
    "executing": ("exec", "execute the process"),
    "stopped": ("delete", "undo"),
}
_GOES_ON = {"hooks point": "hooks and the rest"}
_ENDS = ("created", "started", "executed", "deleted", "failed")
#: Moments of verbs that have no other.
_ALONE = {"paused": "pause", "resumed": "resume", "updated": "update"}
#: Containers that are remembered in a process that makes many and never deletes one.
_LIMIT = 1024


class Verb:
    """A verb that is under way in one thread."""

    def __init__(self, name: str, begin_ns: int) -> None:
        self.name = name
        #: (phase, when it began), the last one under way.
        self.phases: list[tuple[str, int]] = []
        #: Spans that ended when it began, and are sent with its own: somebody waits for each time that we send.
        self.before: list[dict[str, Any]] = []
        self.begin_ns = begin_ns
        # Durations do not follow a clock that is set meanwhile.
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self._offset + time.monotonic_ns()

    def steps(self, moment: Moment, context: Context, error: str | None) -> list[dict[str, Any]]:
        """The spans of the steps that core tells of, each below the one that it is within."""
        spans = []
        around: list[tuple[int, Context]] = []  # when those end that are under way, and what is below them
        for step in moment.steps:
            begin, end = self._offset + step.start_ns, self._offset + step.start_ns + step.duration_ns
            while around and around[-1][0] < end:
                around.pop()
            parent, span_id = around[-1][1] if around else context, new_span_id()
            failed = error if step.name == moment.step and not step.plugin else None
            spans.append(span(parent, span_id, step.name, begin, end, {"corelaunch.plugin": step.plugin}, failed))
            around.append((end, context.replace(parent_id=span_id)))
        return spans


class Telemetry:
    """The plugin; one for the whole process."""

    corelaunch_api = 1

    def __init__(self) -> None:
        self._exporter = Exporter()
        #: Thread and container -> when its config was asked for, by ``create`` or ``plan``.
        self._asked: dict[tuple[int, str], int] = {}
        #: Container -> its trace.
        self._traces: dict[str, Context] = {}
        #: Thread and container -> its verb.
        self._verbs: dict[tuple[int, str], Verb] = {}
        #: Container -> when it was started, by this process.
        self._started: dict[str, int] = {}

    @hookimpl
    def corelaunch_adjust_config(self, container_id: str) -> Sequence[ConfigEdit]:
        """Where ``create`` begins for us. ``plan`` asks, too, so nothing is told yet."""
        self._remember(self._asked, (get_ident(), container_id), time.time_ns())
        caller = parse(os.environ.get("TRACEPARENT", ""))
        return [SetAnnotation(ANNOTATION, caller.traceparent())] if caller else []

    @hookimpl
    def corelaunch_moment(self, moment: Moment, log: Callable[[str, str], None]) -> None:
        name, key = moment.name, (get_ident(), moment.container_id)
        spans: list[dict[str, Any]] = []
        context = self._context(moment)
        if name in _BEGINS:
            if key in self._verbs:  # core tells of a create that fails, and not of a start or exec
                spans += self._finish(moment, key, context, "it did not succeed")
            if name == "stopped":
                spans += self._life(moment, context)
            verb_name, phase = _BEGINS[name]
            asked = self._asked.pop(key, 0) if name == "creating" else 0
            verb = Verb(verb_name, asked or time.time_ns())
            verb.phases = [("check and plan", asked)] if asked else []
            verb.phases.append((phase, verb.now()))
            verb.before, spans = spans, []
            self._remember(self._verbs, key, verb)
        elif name in _GOES_ON and key in self._verbs:
            verb = self._verbs[key]
            verb.phases.append((_GOES_ON[name], verb.now()))
        elif name in _ENDS:
            if name == "failed" and key not in self._verbs:  # by a veto of another plugin at "created"
                self._verbs[key] = Verb("create", time.time_ns())
            if key in self._verbs:
                spans += self._finish(moment, key, context, moment.error if name == "failed" else None)
        elif name in _ALONE:
            now = time.time_ns()
            facts = _facts(moment, _ALONE[name])
            spans.append(span(context, new_span_id(), f"corelaunch {_ALONE[name]}", now, now, facts))
        if name == "started":
            self._remember(self._started, moment.container_id, time.time_ns())
        if name in ("deleted", "failed"):
            self._traces.pop(moment.container_id, None)
        if spans and context.sampled and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
            self._exporter.send(request(spans, resource(), VERSION), log)

    @hookimpl
    def corelaunch_doctor(self) -> Sequence[DoctorCheck]:
        url = endpoint()
        if not url:
            return [DoctorCheck("otel", "ok", f"spans go to {FILE}", hint="OTEL_EXPORTER_OTLP_ENDPOINT is not set")]
        try:
            export(request([], resource(), VERSION))
        except (OSError, ValueError) as error:
            hint = "start the collector, or see OTEL_EXPORTER_OTLP_ENDPOINT"
            return [DoctorCheck("otel", "warn", f"spans are lost: {url}: {error}", hint=hint)]
        return [DoctorCheck("otel", "ok", f"spans go to {url}")]

    def _context(self, moment: Moment) -> Context:
        """The trace of a container: its caller's, that of its create, or a new one."""
        context = self._traces.get(moment.container_id)
        if context is None:
            caller = parse(os.environ.get("TRACEPARENT", ""), os.environ.get("TRACESTATE", ""))
            context = caller or parse(moment.annotations.get(ANNOTATION, "")) or new_trace()
            self._remember(self._traces, moment.container_id, context)
        return context

    def _finish(
        self, moment: Moment, key: tuple[int, str], context: Context, error: str | None
    ) -> list[dict[str, Any]]:
        """The spans of a verb that has ended, with its phases below it."""
        verb = self._verbs.pop(key)
        end = verb.now()
        span_id = new_span_id()
        facts = _facts(moment, verb.name)
        spans = [*verb.before, span(context, span_id, f"corelaunch {verb.name}", verb.begin_ns, end, facts, error)]
        below = context.replace(parent_id=span_id)
        for index, (phase, begin) in enumerate(verb.phases, 1):
            if index > 1 and moment.steps:
                break  # what core tells of the rest says more
            last = index == len(verb.phases)
            stop = end if last else verb.phases[index][1]
            spans.append(span(below, new_span_id(), phase, begin, stop, {}, error if last else None))
        return spans + verb.steps(moment, below, error)

    def _life(self, moment: Moment, context: Context) -> list[dict[str, Any]]:
        """The span of a container that this process has started, and that has stopped."""
        begin = self._started.pop(moment.container_id, 0)
        if not begin:
            return []
        facts = _facts(moment, "run")
        if moment.exit_status >= 0:
            facts["process.exit.code"] = moment.exit_status
        return [span(context, new_span_id(), "container runs", begin, time.time_ns(), facts)]

    def _remember(self, where: dict[Any, Any], key: Any, value: Any) -> None:
        where[key] = value
        if len(where) > _LIMIT:
            for oldest in list(where)[:-_LIMIT]:  # list and pop are one step each, whatever other threads do
                where.pop(oldest, None)


def _facts(moment: Moment, verb: str) -> dict[str, str | int]:
    facts: dict[str, str | int] = {
        "container.id": moment.container_id,
        "corelaunch.bundle": moment.bundle,
        "corelaunch.verb": verb,
        "corelaunch.step": moment.step if moment.name == "failed" else "",
    }
    if moment.pid:
        facts["process.pid"] = moment.pid
    if moment.process.get("args"):
        # The rest of a command line has had passwords in it.
        facts["process.executable.name"] = moment.process["args"][0]
    return facts


def resource() -> Mapping[str, str]:
    """Who we are (OpenTelemetry, "SDK environment variables")."""
    texts = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    given = dict(text.split("=", 1) for text in texts if "=" in text)
    name = os.environ.get("OTEL_SERVICE_NAME") or given.get("service.name") or "corelaunch"
    return {"host.name": os.uname().nodename, **given, "service.name": name}


telemetry = Telemetry()
