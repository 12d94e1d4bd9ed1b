"""What ``runc spec`` writes runs unchanged, with its terminal and without, and answers as under runc."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from corelaunch.testing.bundles import make_rootfs

COMMAND = os.environ.get("CORELAUNCH", str(Path(__file__).resolve().parents[2] / ".venv/bin/corelaunch"))

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed"),
]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    make_rootfs(tmp_path / "rootfs")
    subprocess.run(["runc", "spec", "--bundle", tmp_path], check=True)
    return tmp_path


def in_a_terminal(runtime: str, bundle: Path, words: bytes) -> tuple[int, str]:
    """Run it in the foreground on a pty of its own, type, and read to the end."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(runtime, [runtime, "--root", str(bundle / "state"), "run", "--bundle", str(bundle), "spec-test"])
    said = b""
    typed = False
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:  # EIO: the terminal's last user is gone
            break
        said += chunk
        if not typed and b"# " in said:
            os.write(master, words)
            typed = True
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), said.decode()


def test_with_its_terminal(bundle: Path) -> None:
    answers = {}
    for runtime in (COMMAND, "runc"):
        status, said = in_a_terminal(runtime, bundle, b"hostname; tty; echo pid $$; exit 7\n")
        answers[runtime] = status, re.findall(r"^(runc|/dev/\S+|pid \d+)\r?$", said, re.MULTILINE)
    assert answers[COMMAND] == answers["runc"]
    assert answers[COMMAND] == (7, ["runc", "/dev/pts/0", "pid 1"])


def test_without_a_terminal(bundle: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = [
        "sh",
        "-c",
        "hostname; id -u; cat /proc/self/oom_score_adj; umask; pwd; ls /dev; exit 5",
    ]
    (bundle / "config.json").write_text(json.dumps(config))
    answers = []
    for runtime in (COMMAND, "runc"):
        done = subprocess.run(
            [runtime, "--root", bundle / "state", "run", "--bundle", bundle, "spec-test"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        answers.append((done.returncode, done.stdout, done.stderr))
    assert answers[0] == answers[1]
    assert answers[0][0] == 5
