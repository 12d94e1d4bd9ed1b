"""A real container: the device can be used as far as its spec permits, and what else the spec brings is there."""

import json
import os
from pathlib import Path

import pytest

from corelaunch.process_io import ProcessIO
from corelaunch.runtime import Runtime
from corelaunch.testing import bundles

HOST = ("/dev/fuse", "/dev/loop-control")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="host lacks: root"),
    pytest.mark.skipif(not all(map(os.path.exists, HOST)), reason=f"host lacks: {' and '.join(HOST)}"),
]
INSIDE = """
stat -c '%t:%T' /dev/vendor0
(exec 3<>/dev/vendor0) && echo used
(exec 3</dev/vendor1) && echo read
(exec 3<>/dev/vendor1) 2>/dev/null || echo not written
echo $VENDOR; ls /vendor; id -G
"""


def test_a_container_uses_the_device_that_it_asks_for(vendor, tmp_path):
    """Its plugin is found by its entry point: the package has to be installed."""
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver/libvendor.so").touch()
    hook = {"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", f"cat > {tmp_path}/state"]}
    vendor(
        {
            "0": {"deviceNodes": [{"path": "/dev/vendor0", "hostPath": HOST[0]}], "env": ["VENDOR=zero"]},
            "1": {"deviceNodes": [{"path": "/dev/vendor1", "hostPath": HOST[1], "permissions": "r"}]},
        },
        containerEdits={
            "mounts": [{"hostPath": str(tmp_path / "driver"), "containerPath": "/vendor", "options": ["ro", "rbind"]}],
            "hooks": [hook],
            "additionalGids": [4242],
        },
    )
    content = bundles.config("sh", "-c", INSIDE)
    content["annotations"] = {"cdi.k8s.io/me": "vendor.com/gpu=0,vendor.com/gpu=1"}
    rootfs = bundles.make_rootfs(tmp_path / "rootfs")
    (rootfs / "vendor").mkdir()
    bundle = bundles.make_bundle(tmp_path / "bundle", rootfs, content)
    runtime = Runtime(str(tmp_path / "state-root"), plugins=["cdi"])
    container_id = f"cl-cdi-{os.getpid()}"
    with open(tmp_path / "out", "wb") as out:
        assert runtime.run(container_id, str(bundle), io=ProcessIO(stdout=out.fileno(), stderr=out.fileno())) == 0
    numbers = os.stat(HOST[0]).st_rdev
    assert Path(tmp_path / "out").read_text().split("\n")[:-1] == [
        f"{os.major(numbers):x}:{os.minor(numbers):x}", "used", "read", "not written", "zero", "libvendor.so", "0 4242",
    ]  # fmt: skip
    assert json.loads((tmp_path / "state").read_text())["id"] == container_id
    assert runtime.root.ids() == []
