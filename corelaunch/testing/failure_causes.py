"""Why a promise is broken, in one line, and which of them have one cause: a plugin's mistake breaks fifty promises."""

from __future__ import annotations

import os
import re
import sysconfig
from typing import Any

import pytest

from corelaunch.api import CorelaunchError, Unsupported

#: Below these is no line of a plugin. (What pip installs is below the second, in site-packages.)
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_LONGEST = 300

#: What a promise raises that was not kept.
_JUDGED = (AssertionError, pytest.fail.Exception)


def cause_of(error: BaseException) -> tuple[str, str]:
    """What tells one cause from another, and what a reader is told of it, in one line.

    An exception that was raised in a line of the plugin, or because of one there, is told by that line, whatever
    promise met it. Any other is told by its words, without the numbers and names that are other ones in each test.
    """
    root, chain = error, {error}
    while root.__cause__ is not None and root.__cause__ not in chain:  # core raises errors from themselves
        root = root.__cause__
        chain.add(root)
    judged = isinstance(error, _JUDGED)
    place = "" if judged else _line_of_the_plugin(root)
    if place:
        told = root if not isinstance(error, CorelaunchError) or isinstance(root, CorelaunchError) else error
        return f"{type(root).__name__} {place}", f"{_words(told)} ({place})"
    words = _words(error)
    where = _last_line(error) if judged else ""
    return f"{where} {re.sub(r'[0-9]+', '#', words)}", words


def _words(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).strip().split("\n", 1)[0]
    if text.startswith("DID NOT RAISE"):
        text = f"nothing was refused here, and the promise is an error ({text.removeprefix('DID NOT RAISE ')})"
    if isinstance(error, Unsupported):
        text = f"the plugin refuses what its features promise: {text}"
    elif not isinstance(error, (*_JUDGED, CorelaunchError)):
        text = f"{type(error).__name__}: {text}" if text != type(error).__name__ else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _frames(error: BaseException) -> list[tuple[str, int]]:
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return frames


def _line_of_the_plugin(error: BaseException) -> str:
    """``package/file.py:LINE`` of the last frame that is neither corelaunch's nor Python's nor pytest's; "" if none."""
    for path, line in reversed(_frames(error)):
        packages = path.rpartition(f"{os.sep}site-packages{os.sep}")[2]
        if (packages == path and path.startswith(_STDLIB)) or path.startswith((_OURS, "<")):
            continue
        if packages.split(os.sep)[0] in ("_pytest", "pluggy", "pytest"):
            return ""  # the promise was called by these: nothing of the plugin is below
        return f"{os.sep.join(path.split(os.sep)[-2:])}:{line}"
    return ""


def _last_line(error: BaseException) -> str:
    frames: list[Any] = [frame for frame in _frames(error) if f"{os.sep}_pytest{os.sep}" not in frame[0]]
    return ":".join(map(str, frames[-1])) if frames else ""
