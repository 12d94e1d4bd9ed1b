"""The two kinds of skip of a contract suite, which are never mixed: "not claimed", and "this host lacks it".

The first is the implementation's own decision and always fine. The second means that a promise was not checked:
``--corelaunch-host=require`` makes it a failure. ``pytest_plugin.py`` tells them apart by their first words.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

HOST_LACKS = "this host lacks "
NOT_CLAIMED = "not claimed"


def host_lacks(what: str) -> NoReturn:
    """Skip, because of the host and not because of the implementation."""
    pytest.skip(HOST_LACKS + what)


def not_claimed(feature: str) -> NoReturn:
    """Skip, because the implementation does not claim the feature."""
    pytest.skip(f"feature {feature!r} {NOT_CLAIMED}")
