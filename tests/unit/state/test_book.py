"""Opening the journal of a container that somebody else deletes, or makes anew, at the same moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corelaunch.errors import ContainerNotFound
from corelaunch.state import book
from corelaunch.state.journal import Journal
from corelaunch.state.ledger import Ledger


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("anew", [True, False], ids=["made anew", "gone"])
def test_a_container_that_is_deleted_while_its_lock_is_waited_for_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exclusive: bool, anew: bool
) -> None:
    directory = tmp_path / "one"
    directory.mkdir()
    Journal.create(str(directory)).close()
    opened: Callable[[str], Journal] = Journal.open

    def late(path: str) -> Journal:
        journal = opened(path)
        shutil.move(directory, tmp_path / "deleted")
        if anew:
            directory.mkdir()
            Journal.create(str(directory)).close()
        return journal

    monkeypatch.setattr(Journal, "open", late)
    with pytest.raises(ContainerNotFound, match="container does not exist: one"):
        book.open_book("one", str(directory), Ledger(), exclusive=exclusive, wait_seconds=0)
    assert not (directory / "holder").exists(), "the next container's"
