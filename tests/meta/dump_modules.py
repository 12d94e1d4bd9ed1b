"""Runs one command line as the installed command would, and writes the names of all imported modules to a file.

    python3 -I -S dump_modules.py FILE SITE-PACKAGES[:…] WORD...

posix._exit, with which the command ends, is the place to look: everything the verb imports has been imported then.
"""

from __future__ import annotations

import posix
import sys

output, directories, *words = sys.argv[1:]
exit_for_real = posix._exit


def exit_and_tell(code: int) -> None:
    fd = posix.open(output, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, 0o600)
    posix.write(fd, "\n".join(sorted(sys.modules)).encode())
    exit_for_real(code)


posix._exit = exit_and_tell  # type: ignore[assignment]
sys.argv[1:] = words
sys.path.append(directories.split(":")[0])

from corelaunch.isolated import start  # noqa: E402

sys.path.pop()
start(directories.split(":"))
