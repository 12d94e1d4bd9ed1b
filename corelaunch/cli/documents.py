"""Manual pages and completion as files: where they belong below a prefix, and what is in them.

``python3 -m corelaunch.cli.documents DIRECTORY`` writes them; the build does, and the tests.
"""

from __future__ import annotations

import os
import sys

from . import completion, manual
from .main import COMMANDS, GLOBAL_OPTIONS, load_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .command import Command

_BASH = f"share/bash-completion/completions/{manual.PROGRAM}"
_ZSH = f"share/zsh/site-functions/_{manual.PROGRAM}"
_FISH = f"share/fish/vendor_completions.d/{manual.PROGRAM}.fish"
_OVERVIEW = f"share/man/man{manual.OVERVIEW_SECTION}/{manual.PROGRAM}.{manual.OVERVIEW_SECTION}"


def names() -> list[str]:
    """Paths of all files, relative to the prefix."""
    return [_OVERVIEW, *map(_page, COMMANDS), _BASH, _ZSH, _FISH]


def contents() -> Mapping[str, str]:
    """Path -> text of each file."""
    commands: dict[str, Command] = {}
    for name in COMMANDS:
        command = load_command(name)
        assert command is not None
        commands[name] = command
    return {
        _OVERVIEW: manual.overview(GLOBAL_OPTIONS, COMMANDS),
        **{_page(name): manual.of_command(command, COMMANDS[name]) for name, command in commands.items()},
        _BASH: completion.bash(GLOBAL_OPTIONS, commands),
        _ZSH: completion.zsh(GLOBAL_OPTIONS, commands, COMMANDS),
        _FISH: completion.fish(GLOBAL_OPTIONS, commands, COMMANDS),
    }


def write(directory: str) -> None:
    """Write all of them below a directory."""
    for name, text in contents().items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _page(command: str) -> str:
    return f"share/man/man{manual.SECTION}/{manual.PROGRAM}-{command}.{manual.SECTION}"


if __name__ == "__main__":
    write(sys.argv[1])
