"""Run pytest in a guest: the bytecode is made on the host, one run has many tests, and its counts are reported."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from guest import Mode, Result, bytecode, run
from vm_host import CHECKOUT

PYTHON = str(CHECKOUT / ".venv/bin/python3")
#: No plugin of pytest but those that are named: each import costs there.
ENVIRONMENT = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",  # the checkout cannot be written
}
_ALWAYS = ("-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-p", "corelaunch.testing.pytest_plugin")
#: A guest is some thirty times slower than the host, and its host may be busy.
_SLOW = ("-o", "timeout=600")

_COUNT = re.compile(r"^(kept|broken|not claimed|host lacks|does not apply): (\d+)$", re.MULTILINE)
_OUTCOME = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


@dataclass(frozen=True)
class Report:
    """What a run of pytest in a guest gave.

    Attributes:
        code: pytest's exit code.
        counts: of a contract: kept, broken, not claimed, host lacks, does not apply; else passed, failed, skipped.
        output: everything that pytest wrote, and its stderr.
        seconds: wall time of the run.
    """

    code: int
    counts: dict[str, int]
    output: str
    seconds: float

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in self.counts.items() if number)
        return f"{counts or 'nothing ran'} in {self.seconds:.0f} s"


def pytest_in_guest(mode: Mode, arguments: Sequence[str], *, timeout: float, before: str = "") -> Report:
    """Run pytest with ``arguments`` as root in the guest.

    Args:
        before: shell commands to run first, in the same shell.
    """
    # -P: what is installed, which has its native parts, wherever the collection on the host is started.
    command = [PYTHON, "-P", "-m", "pytest", *_ALWAYS, *arguments]
    packages = CHECKOUT.glob(".venv/lib/python3*/site-packages/corelaunch*")
    collect = [[PYTHON, "-m", "compileall", "-q", *map(str, packages)], [*command, "--collect-only"]]
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in ENVIRONMENT.items())
    script = f"{exports}export PATH={CHECKOUT}/.venv/bin:$PATH\ncd /tmp\n{before}\n{shlex.join([*command, *_SLOW])}\n"
    layer = bytecode.compiled(CHECKOUT, collect, ENVIRONMENT)
    return report(run(mode, script, checkout=CHECKOUT, timeout=timeout, layer=layer))


def report(result: Result) -> Report:
    """Read pytest's last lines."""
    output = (result.stdout + result.stderr).decode(errors="replace")
    if result.code == 125:
        output += result.console
    counts = {name: int(number) for name, number in _COUNT.findall(output)}
    if not counts:
        last = next((line for line in reversed(output.splitlines()) if _OUTCOME.search(line)), "")
        counts = {name: int(number) for number, name in _OUTCOME.findall(last)}
    return Report(result.code, counts, output, result.seconds)
