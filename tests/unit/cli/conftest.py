"""Running the command line in this process, with a fake runtime."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pytest

from corelaunch.cli.main import main
from corelaunch.kernel import native

from .fake_runtime import FakeRuntime


class Outcome(NamedTuple):
    """What a command line came to."""

    code: int
    out: str
    err: str


class Cli(Protocol):
    """Runs a command line."""

    def __call__(self, *words: str, runtime: FakeRuntime | None = None, program: str = "corelaunch") -> Outcome: ...


@pytest.fixture(autouse=True)
def no_subreaper(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` makes its process a subreaper, and here that would be the one of all tests, for the rest of its life."""
    monkeypatch.setattr(native, "become_subreaper", lambda: None)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """The command line in this process; what it writes to descriptors 1 and 2 is captured."""

    def run(*words: str, runtime: FakeRuntime | None = None, program: str = "corelaunch") -> Outcome:
        code = main(words, program, make_runtime=runtime or FakeRuntime())  # type: ignore[arg-type]
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run
