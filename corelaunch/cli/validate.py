"""``validate``: everything that is wrong with a bundle's config.json, and not only the first thing."""

from __future__ import annotations

from ..errors import CorelaunchError, Unsupported
from .command import Call, Command
from .launch import BUNDLE, bundle_of
from .options import FLAG, Option
from .output import write_json, write_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(call: Call) -> int:
    """Print the findings, one line each; the exit code is 1 if one of them is an error."""
    found = findings(bundle_of(call))
    if call.options["json"]:
        write_json(found, 2)
    else:
        write_lines(f"{one['level']}: {one['text']}" for one in found)
    return 1 if any(one["level"] == "error" for one in found) else 0


def findings(bundle_path: str) -> list[dict[str, Any]]:
    """All findings: errors and what this release does not do, then warnings, then keys that nobody knows.

    A bundle that cannot be read is a finding too, so that --json is JSON whatever is wrong.
    """
    from ..spec.bundle import load
    from ..spec.check import find

    try:
        bundle = load(bundle_path)
    except CorelaunchError as error:
        return [_of(error)]
    found = find(bundle.config, bundle)
    answer = [_of(error) for error in found.errors]
    for warning in found.warnings:
        where, _, why = warning.partition(": ")
        answer.append(_finding("warning", where, why, warning))
    for path in found.unknown:
        why = "not in the runtime-spec: it is ignored"
        answer.append(_finding("warning", path, why, f"{path}: {why}"))
    return answer


def _of(error: CorelaunchError) -> dict[str, Any]:
    finding = _finding("error", error.where, error.why or error.what, str(error))
    return {**finding, "hint": error.hint, "unsupported": isinstance(error, Unsupported)}


def _finding(level: str, where: str, why: str, text: str) -> dict[str, Any]:
    return {"level": level, "where": where, "why": why, "text": text}


COMMAND = Command(
    "validate",
    "",
    """Reads and checks the config.json of a bundle as "{program} create" would, and prints everything that is wrong
with it: a line for each error, warning and unknown key, with its place in the document. Nothing is made and no
privilege is needed. The exit code is 1 if there is an error.""",
    run,
    (BUNDLE, Option("json", "print JSON", FLAG)),
    fewest=0,
    most=0,
)
