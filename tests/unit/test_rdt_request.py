"""What linux.intelRdt asks of an RDT manager: its lines, where they stand, and whether to monitor."""

from __future__ import annotations

import pytest

from corelaunch.backends import rdt_request


def test_lines_come_in_the_order_of_the_spec_and_say_where_they_stand() -> None:
    rdt = {"schemata": ["L2:0=f", "L3:0=1"], "memBwSchema": "MB:0=50", "l3CacheSchema": "L3:0=ff\nL3:1=f"}
    request = rdt_request("one", rdt)
    assert dict(zip(request.schemata_paths, request.schemata, strict=True)) == {
        "linux.intelRdt.l3CacheSchema": "L3:1=f",
        "linux.intelRdt.memBwSchema": "MB:0=50",
        "linux.intelRdt.schemata[0]": "L2:0=f",
        "linux.intelRdt.schemata[1]": "L3:0=1",
    }
    assert request.schemata == ("L3:0=ff", "L3:1=f", "MB:0=50", "L2:0=f", "L3:0=1")


@pytest.mark.parametrize("member", ["enableMonitoring", "enableCMT", "enableMBM"])
def test_monitoring_is_asked_for_in_the_words_of_every_version_of_the_spec(member: str) -> None:
    assert rdt_request("one", {member: True}).monitoring
    assert not rdt_request("one", {member: False}).monitoring


def test_nothing_asked_is_a_clos_of_its_own() -> None:
    request = rdt_request("one", {"closID": None, "schemata": None})
    assert (request.clos_id, request.schemata, request.monitoring) == ("", (), False)
