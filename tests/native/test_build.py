"""The built program: static, small, and never one that would run the container's dynamic linker."""

from __future__ import annotations

import subprocess
from pathlib import Path

NATIVE = Path(__file__).resolve().parents[2] / "native"


def test_the_init_is_static_and_small(init_builds):
    program = init_builds("musl")
    headers = subprocess.run(["readelf", "-lhW", program], check=True, capture_output=True, text=True).stdout
    assert "INTERP" not in headers
    assert "DYNAMIC" not in headers
    assert "EXEC (Executable file)" in headers  # not position independent: nothing to relocate
    assert program.stat().st_size < 60_000


def test_a_build_that_needs_a_dynamic_linker_fails_and_leaves_nothing(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/bash\nexec gcc "${@/-static/-Wno-error}"\n')
    compiler.chmod(0o755)
    command = [NATIVE / "build-init.sh", tmp_path / "init"]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "MUSL_CC": str(compiler)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "would need a dynamic linker" in done.stderr
    assert not (tmp_path / "init").exists()
