"""``features``: what this runtime and its installed plugins can do, as JSON."""

from __future__ import annotations

from .command import Call, Command
from .options import FLAG, Option
from .output import write_json


def run(call: Call) -> int:
    """Print the features object, and nothing else anywhere: engines parse stdout and stderr together."""
    from ..features import features

    runtime = call.runtime()
    found = features(runtime.registry)
    if runtime.plugins:
        from .contributions import features_annotations

        found["annotations"] = {**features_annotations(runtime), **found["annotations"]}
    write_json(found, 4)
    return 0


COMMAND = Command(
    "features",
    "",
    """Prints what config.json may ask of this runtime, with the plugins that are installed, as JSON (runtime-spec,
features.md).""",
    run,
    (Option("json", "print JSON, as it does anyway", FLAG),),
    fewest=0,
    most=0,
    chooses=True,
)
