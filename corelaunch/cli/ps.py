"""``ps``: the processes of a container, as pids or as the host's ps shows them."""

from __future__ import annotations

from ..errors import CorelaunchError
from .command import Call, Command
from .options import FLAG, Option
from .output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .screen import Screen

#: ps is looked up here and nowhere else: engines call with no PATH, and we are root.
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_ARGUMENTS = ("-ef",)


def run(call: Call) -> int:
    """Print them."""
    as_json = call.wants_json()
    container_id, *arguments = call.arguments
    pids = call.runtime().load(container_id).processes()
    if as_json:
        write_json(pids if pids or call.options["json"] else None)  # Go's nil slice where runc is imitated
    else:
        from .screen import screen_of

        screen = screen_of()
        lines = only(pids, host_ps(arguments or DEFAULT_ARGUMENTS))
        write(readable(lines, screen.whole() if "format" in call.given else screen))
    return 0


def readable(lines: Sequence[str], screen: Screen) -> str:
    """The lines of ps. A terminal does not act upon what a process calls itself, and each takes one line of it."""
    if screen.is_terminal:
        from .display import BOLD, cut, painted, visible

        lines = [visible(line) for line in lines]
        if screen.columns:
            lines = [cut(line, screen.columns) for line in lines]
        if screen.colours:
            lines = [painted(lines[0], BOLD), *lines[1:]]
    return "".join(f"{line}\n" for line in lines)


def host_ps(arguments: Sequence[str]) -> list[str]:
    """The lines that the host's ps prints.

    Raises:
        CorelaunchError: it is not installed, or it fails; its own first line is the reason.
    """
    import subprocess

    environment = {"PATH": SEARCH, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            ["ps", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise CorelaunchError(
            "cannot run ps", why="it is not installed", hint="install procps, or use --format json"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "backslashreplace").strip().split("\n")[0]
        raise CorelaunchError("ps failed", where=" ".join(arguments), why=said or f"exit status {done.returncode}")
    return done.stdout.decode("utf-8", "surrogateescape").splitlines()


def only(pids: Iterable[int], lines: Sequence[str]) -> list[str]:
    """The header and the lines of these processes, told by the column PID.

    Raises:
        CorelaunchError: there is no such column, or a column before it has blanks inside.
    """
    header = lines[0].split() if lines else []
    if "PID" not in header:
        raise CorelaunchError("cannot tell processes apart", why="ps shows no column PID", hint="add -o pid")
    column = header.index("PID")
    wanted = {str(pid) for pid in pids}
    found = [lines[0]]
    for line in lines[1:]:
        words = line.split(None, column + 1)
        if len(words) <= column or not words[column].isdigit():
            raise CorelaunchError(
                "cannot tell processes apart", why="a column before PID has blanks in it", hint="put pid first"
            )
        if words[column] in wanted:
            found.append(line)
    return found


COMMAND = Command(
    "ps",
    "<container-id> [ps options]",
    """Shows the processes of a container, as the host's ps does (default: ps -ef), or their pids on the host as JSON.
What follows the id is for ps.""",
    run,
    (
        Option("format f", "table or json", default="table"),
        Option("json", "as --format json, but [] if there are none, not null", FLAG),
    ),
    most=-1,
    mixed=False,
)
