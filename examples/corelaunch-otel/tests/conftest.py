"""A collector for each test that wants one, and an environment without OTEL_* and TRACEPARENT for all."""

import json
import os
import sys
import threading

import pytest
from corelaunch_otel import export

sys.path.insert(0, os.path.dirname(__file__))
from otlp_collector import Collector, check


@pytest.fixture(autouse=True)
def file(tmp_path_factory, monkeypatch):
    """Where spans go without an endpoint."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "TRACE"))]:
        monkeypatch.delenv(name)
    path = tmp_path_factory.mktemp("otel") / "spans.jsonl"
    monkeypatch.setattr(export, "FILE", str(path))
    return path


@pytest.fixture
def collector(monkeypatch):
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5000")
    yield server
    server.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()
    assert server.wrong == []


@pytest.fixture
def spans_of(file):
    """The spans of the file, checked."""
    return lambda: [span for line in file.read_text().splitlines() for span in check(json.loads(line))]
