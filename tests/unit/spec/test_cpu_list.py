"""CPU lists, as the kernel writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.spec.cpu_list import LIMIT, parse


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("", set()),
        ("  ", set()),
        ("0", {0}),
        ("0-3,7", {0, 1, 2, 3, 7}),
        (" 1 , 3 - 4 ", {1, 3, 4}),
        ("2,2,1-2", {1, 2}),
        ("1024-1025,8191", {1024, 1025, 8191}),
    ],
)
def test_a_list_is_its_cpus(text: str, cpus: set[int]) -> None:
    assert parse(text) == cpus


@pytest.mark.parametrize("text", [",", "1,", "a", "1-", "-1", "1-2-3", "3-1", "8192", "0x1", "1.5", "0-1:2", "1 2"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"CPU|range"):
        parse(text)


@given(st.text(alphabet="0123456789-, ax", max_size=12))
def test_any_text_is_a_list_of_cpus_that_there_can_be_or_an_error(text: str) -> None:
    try:
        cpus = parse(text)
    except ValueError:
        return
    assert all(0 <= cpu < LIMIT for cpu in cpus)
