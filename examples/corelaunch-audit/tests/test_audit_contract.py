"""audit keeps every promise of a lifecycle plugin, and says who did what."""

import json

import corelaunch_audit
import pytest

from corelaunch.api import KernelError, Moment
from corelaunch.testing import LifecycleContract


@pytest.fixture(autouse=True)
def log(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    monkeypatch.setattr(corelaunch_audit, "LOG", str(path))
    return path


class TestAudit(LifecycleContract):
    @pytest.fixture
    def plugin(self):
        return corelaunch_audit


def test_a_line_says_who_did_what(log):
    moment = Moment("executing", "demo", "/b", "end of sync", "running", 42, process={"args": ["cat", "/etc/shadow"]})
    corelaunch_audit.corelaunch_moment(moment)
    corelaunch_audit.corelaunch_moment(Moment("failed", "demo", "/b", "spawn", "stopped", error="no memory"))
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["container"], first["moment"], first["pid"], first["args"][0]) == ("demo", "executing", 42, "cat")
    assert (second["step"], second["error"]) == ("spawn", "no memory")
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_recorded_is_refused(monkeypatch):
    monkeypatch.setattr(corelaunch_audit, "LOG", "/nonexistent/audit.jsonl")
    with pytest.raises(KernelError, match="cannot write the audit log: /nonexistent"):
        corelaunch_audit.corelaunch_moment(Moment("creating", "demo", "/b", "", "creating"))
