"""state.json is a second copy: it fills gaps of the journal and never gets in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from corelaunch.state import state_file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    state_file.write(str(tmp_path), "demo", [{"record": "step", "name": "x"}])
    assert state_file.read(str(tmp_path)) == [{"record": "step", "name": "x"}]
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "content", ["", "null", "{}", "[]", '{"version": 99, "records": []}', '{"version": 1}', "\xff"]
)
def test_a_damaged_copy_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, encoding="latin-1")
    assert state_file.read(str(tmp_path)) == []


def test_a_flipped_bit_that_leaves_good_json_is_damage_too(tmp_path: Path) -> None:
    state_file.write(str(tmp_path), "demo", [{"record": "step", "path": "/sys/fs/cgroup/a"}])
    whole = (tmp_path / "state.json").read_text()
    (tmp_path / "state.json").write_text(whole.replace("cgroup/a", "cgroup/c"))
    assert state_file.read(str(tmp_path)) == []


def test_merging_keeps_each_record_once_and_the_journals_news_last() -> None:
    first, second, third = ({"record": "step", "name": name} for name in "abc")
    assert state_file.merge([first, second], [second, third]) == [first, second, third]
