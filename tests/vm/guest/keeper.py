"""A directory, and a QEMU in it, that do not outlive this process, however it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_KEEPER = Path(__file__).with_name("keeper.sh")


@contextmanager
def kept(directory: Path, command: Sequence[str] = (), pass_fds: Sequence[int] = ()) -> Iterator[None]:
    """Make ``directory`` and run ``command``, both until the end of the block; the command writes to ``log`` in it.

    The command inherits ``pass_fds``; this process should close its own copies, to see the end of the command.

    Raises:
        OSError: the directory cannot be made.
    """
    keeper = subprocess.Popen(
        [str(_KEEPER), str(directory), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=pass_fds,
        start_new_session=True,  # ^C and a kill of the process group are not for it
    )
    assert keeper.stdin and keeper.stdout
    try:
        if keeper.stdout.readline() != b"ready\n":
            raise OSError(f"cannot make {directory}")
        yield
    finally:
        keeper.stdin.close()
        keeper.stdout.close()
        keeper.wait()
