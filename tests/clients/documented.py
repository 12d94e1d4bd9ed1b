"""The lines with which the documentation puts corelaunch under a client, as it has them."""

from __future__ import annotations

import re
from pathlib import Path

from cases import Failure

CHECKOUT = Path(__file__).resolve().parents[2]
LINK = Path("/usr/local/bin/corelaunch")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def install(runtime: str) -> None:
    """Put the runtime where the documentation says that it is; the sandbox's /usr/local/bin is its own."""
    if not LINK.is_symlink():
        LINK.symlink_to(runtime)


def block(heading: str, language: str) -> str:
    """The block of a language below a heading of docs/operators.md."""
    _, _, rest = (CHECKOUT / "docs/operators.md").read_text().partition(f"\n{heading}\n")
    for found, text in _FENCE.findall(rest):
        if found == language:
            return str(text)
    raise Failure(f"docs/operators.md has no {language} below {heading}")


def command(program: str, **names: str) -> list[list[str]]:
    """What README.md and docs/operators.md type after ``$ PROGRAM``, with real names in place of IMAGE and ID."""
    typed: list[list[str]] = []
    for document in ("README.md", "docs/operators.md"):
        for line in (CHECKOUT / document).read_text().splitlines():
            if line.startswith(f"$ {program} "):
                typed.append([names.get(word, word) for word in line[2:].split()])
    if len(typed) < 2:
        raise Failure(f"the documentation does not say how to call {program}")
    return typed
