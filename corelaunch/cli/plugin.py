"""``plugin new``: the project of a new plugin, ready to be installed and tested."""

from __future__ import annotations

import os

from ..errors import UsageError
from .command import Call, Command
from .options import Option
from .output import write

_USAGE = "write plugin new KIND NAME"


def run(call: Call) -> int:
    """Write the project, and say what comes next."""
    from ..scaffold import project

    if call.arguments[0] != "new" or len(call.arguments) != 3:
        raise UsageError("plugin does one thing", where=" ".join(call.arguments), hint=_USAGE)
    kind = project.check_kind(call.arguments[1])
    name = call.arguments[2]
    project.check_name(kind, name, call.runtime().registry)
    inner = call.options["on"]
    distribution = project.check_inner(kind, inner, call.runtime().registry) if inner else ""
    directory = project.write(kind, name, call.options["directory"], inner, distribution)
    write(
        f"{directory}: a plugin that works. Next, in the environment of {call.program}:\n"
        f"    cd {directory}\n"
        "    pip install '.[test]'\n"
        "    pytest\n"
        f"    {os.path.basename(call.program)} plugins\n"
    )
    return 0


COMMAND = Command(
    "plugin",
    "new <kind> <name>",
    """Writes the project of a new plugin: a small backend that works, with its contract test, metadata, CI and README.
KIND is cgroup-manager, rdt-manager, network-strategy or lifecycle; NAME is what people will choose it by.
With --on a cgroup manager or RDT manager is made that hands every call to another, and changes what you override.""",
    run,
    (
        Option("directory", "the project's directory, which must not exist (default: corelaunch-NAME)", metavar="dir"),
        Option("on", "build it on this plugin of the kind: it does all that is not overridden", metavar="plugin"),
    ),
    fewest=1,
    most=3,
)
