"""How the tests of this directory reach the guest, and what they need of the host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
VM = str(CHECKOUT / "script/vm")

#: Making an image may be part of the first test that runs.
IN_GUEST = [
    pytest.mark.vm,
    pytest.mark.skipif(os.geteuid() != 0, reason="this host lacks root for debootstrap"),
    pytest.mark.timeout(1500),
]


def vm(*words: str, timeout: float = 1400) -> subprocess.CompletedProcess[str]:
    """Run script/vm with these words; it ends the guest a little before ``timeout``, and says so."""
    words = ("--timeout", str(timeout - 60), *words)
    return subprocess.run([VM, *words], capture_output=True, text=True, timeout=timeout, check=False)
