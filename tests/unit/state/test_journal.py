"""The journal keeps what was written, whatever happens to the rest of the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corelaunch.errors import StateError
from corelaunch.state.journal import MARK, VERSION, Journal, decode, read_records
from corelaunch.state.ledger import Ledger


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(str(tmp_path))


def append(journal: Journal, record: str, **fields: object) -> None:
    journal.append([{"record": record, **fields}])


def fill(journal: Journal) -> None:
    append(journal, "begin", version=VERSION, id="demo", bundle="/b")
    effect = {"number": 1, "owner": "cgroup_manager:x", "kind": "cgroup", "name": "/c", "args": {}, "absent": True}
    append(journal, "intend", **effect)
    append(journal, "done", number=1, facts={"ino": 7})
    append(journal, "process", role="init", pid=4, start_time=99, process_group=0)
    append(journal, "status", status="created")


def test_records_come_back_in_order(journal: Journal, tmp_path: Path) -> None:
    fill(journal)
    assert [r["record"] for r in read_records(str(tmp_path))[0]] == ["begin", "intend", "done", "process", "status"]


def test_a_second_journal_in_the_same_directory_is_refused(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Journal.create(str(tmp_path))


def test_every_truncation_keeps_the_records_before_it(journal: Journal) -> None:
    fill(journal)
    data = Path(journal.path).read_bytes()
    ends = [*[i for i in range(len(data)) if data.startswith(MARK, i)][1:], len(data)]
    for length in range(len(data) + 1):
        assert len(decode(data[:length])[0]) == sum(end <= length for end in ends)


def test_every_flipped_bit_costs_at_most_one_record(journal: Journal) -> None:
    fill(journal)
    data = Path(journal.path).read_bytes()
    whole = decode(data)[0]
    for position in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        records, _, found = decode(bytes(damaged))
        assert found
        assert len(records) == len(whole) - 1
        assert all(record in whole for record in records)


def test_several_records_go_in_one_write_and_come_back_one_by_one(journal: Journal) -> None:
    begin, end = journal.append([{"record": "step", "name": "a"}, {"record": "step", "name": "b"}])
    records, offset, damaged = journal.read()
    assert ([r["name"] for r in records], offset, damaged, begin) == (["a", "b"], end, False, 0)
    assert journal.read(offset) == ([], offset, False)


def test_a_journal_of_another_version_is_refused_by_name(journal: Journal) -> None:
    append(journal, "begin", version=VERSION + 1, id="demo")
    with pytest.raises(StateError, match=f"version {VERSION + 1}"):
        journal.read()


def test_appends_of_two_openers_do_not_overwrite_each_other(journal: Journal, tmp_path: Path) -> None:
    other = Journal.open(str(tmp_path))
    for number in range(10):
        append(journal if number % 2 else other, "step", name=str(number))
    assert [r["name"] for r in journal.read()[0]] == [str(n) for n in range(10)]


def test_a_symlink_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    os.symlink(tmp_path / "elsewhere", tmp_path / "journal")
    with pytest.raises(OSError):
        Journal.open(str(tmp_path))


class TestLedger:
    def test_an_effect_is_ours_when_made_or_maybe_made_and_not_otherwise(self) -> None:
        ledger = Ledger(
            [
                _intent(1, absent=True),
                {"record": "done", "number": 1, "facts": {}},
                _intent(2, absent=True),
                _intent(3, absent=False),
                _intent(4, absent=True),
                {"record": "gone", "number": 4},
            ]
        )
        assert [e.number for e in ledger.effects("o")] == [2, 1]

    def test_the_init_is_preferred_to_stage_0(self) -> None:
        ledger = Ledger([_process("stage 0", 10), _process("init", 11), _process("hook", 12)])
        init = ledger.init()
        assert init is not None and init.pid == 11

    def test_a_record_of_a_later_release_is_passed_over(self) -> None:
        assert Ledger([{"record": "something new", "x": 1}]).status == "creating"


def _intent(number: int, *, absent: bool) -> dict[str, object]:
    return {"record": "intend", "number": number, "owner": "o", "kind": "k", "name": "n", "args": {}, "absent": absent}


def _process(role: str, pid: int) -> dict[str, object]:
    return {"record": "process", "role": role, "pid": pid, "start_time": 1, "process_group": 0}
