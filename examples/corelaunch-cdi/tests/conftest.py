"""Two directories for CDI specs, and a way to put specs there."""

import json

import pytest
from corelaunch_cdi import plugin as cdi


@pytest.fixture
def vendor(tmp_path_factory, monkeypatch):
    """Writes a spec of vendor.com/gpu: its devices with their edits, and what else it is to say."""
    place = tmp_path_factory.mktemp("cdi")
    directories = (place / "etc", place / "run")
    for directory in directories:
        directory.mkdir(0o755)
    monkeypatch.setattr(cdi, "DIRECTORIES", tuple(map(str, directories)))

    def write(edits, name="vendor.json", priority=0, **more):
        spec = {"cdiVersion": "1.1.0", "kind": "vendor.com/gpu"}
        spec["devices"] = [{"name": device, "containerEdits": its} for device, its in edits.items()]
        path = directories[priority] / name
        path.write_text(json.dumps(spec | more))
        return path

    return write
