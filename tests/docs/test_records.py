"""docs/records.md is made from the records as they are, and every field of every one has its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from corelaunch import api
from corelaunch.config_edits import Edit
from corelaunch.records import Record

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "script/record-catalogue"


def test_the_page_is_current() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_field_of_every_record_is_on_it() -> None:
    """The fields as they are, not as a docstring has them."""
    page = (CHECKOUT / "docs/records.md").read_text()
    sections = {part.split("\n", 1)[0]: part for part in page.split("\n## ")[1:]}
    records = {name: getattr(api, name) for name in api.__all__}
    fields = {
        name: value.__record_fields__
        for name, value in records.items()
        if isinstance(value, type) and issubclass(value, Record) and value is not Record and not issubclass(value, Edit)
    }
    assert len(fields) > 10
    assert sections.keys() == fields.keys()
    for name, names in fields.items():
        rows = [line.split("|") for line in sections[name].splitlines() if line.startswith("| `")]
        assert [row[1].strip().strip("`") for row in rows] == list(names), name
        assert all(len(row[-2].strip()) > 5 for row in rows), f"{name}: a field without a word about it"
