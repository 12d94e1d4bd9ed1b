"""A collector: a real HTTP server in this process, which holds what it gets to the rules of OTLP/JSON."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEX = set("0123456789abcdef")


def check(request):
    """Hold an ExportTraceServiceRequest to the rules of OTLP/JSON; returns its spans."""
    spans = []
    for of_resource in request["resourceSpans"]:
        attributes(of_resource["resource"]["attributes"])
        for of_scope in of_resource["scopeSpans"]:
            assert of_scope["scope"]["name"] == "corelaunch-otel"
            spans += of_scope["spans"]
    for span in spans:
        for name, length in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
            if name in span or name != "parentSpanId":
                assert len(span[name]) == length and set(span[name]) <= HEX, f"{name} is not hexadecimal"
        begin, end = span["startTimeUnixNano"], span["endTimeUnixNano"]
        assert isinstance(begin, str) and isinstance(end, str), "64-bit numbers are strings"
        assert 1_600_000_000_000_000_000 < int(begin) <= int(end)
        assert span["kind"] == 1, "enums are numbers"
        assert span.get("status", {"code": 2})["code"] == 2
        attributes(span["attributes"])
        for event in span.get("events", ()):
            assert isinstance(event["timeUnixNano"], str)
            attributes(event["attributes"])
    parse_with_protobuf(request)
    return spans


def facts(thing):
    """Its attributes, as texts."""
    return {one["key"]: next(iter(one["value"].values())) for one in thing["attributes"]}


def attributes(values):
    for one in values:
        [(kind, value)] = one["value"].items()
        assert isinstance(value, str) and kind in ("stringValue", "intValue")
        assert kind != "intValue" or value.lstrip("-").isdigit()


def parse_with_protobuf(request):
    """With opentelemetry-proto's messages, which refuse unknown names and wrong types; skipped where they are not."""
    try:
        from google.protobuf.json_format import ParseDict
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        return None
    # OTLP has its ids in hexadecimal, where the JSON of protobuf has base64: the one difference of the two.
    copy = json.loads(json.dumps(request))
    for of_resource in copy["resourceSpans"]:
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                for name in {"traceId", "spanId", "parentSpanId"} & set(span):
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return ParseDict(copy, ExportTraceServiceRequest())


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP; ``status`` is what it answers, ``spans`` what it got."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.spans, self.requests, self.wrong = 200, [], [], []
        self.hang = threading.Event()
        self.hang.set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/json")
            self.server.requests.append(body)
            self.server.spans += check(body)
        except Exception as error:  # noqa: BLE001 -- the test that uses the collector fails with it
            self.server.wrong.append(repr(error))
        self.server.hang.wait(10)
        try:
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"{}")
        except ConnectionError:
            pass  # it has not waited for the answer

    def log_message(self, *words):
        pass
