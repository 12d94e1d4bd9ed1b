"""What a list of device rules comes to, and that its rules are read one by one: on cgroup v1."""

from __future__ import annotations

from typing import Any

import pytest
from corelaunch_cgroupfs.devices_v1 import DeviceRules, evaluate
from corelaunch_cgroupfs.devices_v1 import lines as lines_of
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.api import ConfigError, Unsupported


def rule(allow: bool, kind: str = "c", major: int = 1, minor: int = 5, access: str = "rwm") -> dict[str, Any]:
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


def lines(result: DeviceRules) -> set[str]:
    return set(lines_of(result.exceptions))


def test_nothing_is_allowed_at_first() -> None:
    assert not evaluate([]).allow_all
    assert lines(evaluate([])) == set()


def test_the_last_rule_about_a_device_counts() -> None:
    assert lines(evaluate([rule(True), rule(False, access="w")])) == {"c 1:5 rm"}
    assert lines(evaluate([rule(False), rule(True, access="r")])) == {"c 1:5 r"}


def test_a_rule_for_all_wipes_out_those_before() -> None:
    result = evaluate([rule(True), {"allow": True}, rule(False, major=-1), {"allow": False}])
    assert (result.allow_all, lines(result)) == (False, set())


def test_numbers_that_are_absent_or_minus_one_mean_all() -> None:
    assert lines(evaluate([{"allow": True, "type": "b", "major": 8}])) == {"b 8:* rwm"}
    assert lines(evaluate([rule(True, "u", -1, -1, "m")])) == {"c *:* m"}


def test_a_part_of_a_wider_rule_cannot_be_taken_back() -> None:
    with pytest.raises(Unsupported) as caught:
        evaluate([rule(True, major=10, minor=-1), rule(False, major=10, minor=229)])
    assert caught.value.where == "linux.resources.devices[1]"
    with pytest.raises(Unsupported):
        evaluate([{"allow": True}, rule(False, minor=-1), rule(True, access="r")])


def test_a_denial_of_what_no_rule_allowed_is_fine() -> None:
    """Docker's lists end with one."""
    rules = [rule(True, minor=-1, access="m"), rule(False, major=10, minor=229), rule(False, access="rw")]
    assert lines(evaluate(rules)) == {"c 1:* m"}


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"type": "p"}, ".type"),
        ({"type": "c", "access": "rx"}, ".access"),
        ({"type": "c", "major": "1"}, ".major"),
        ({"type": "c", "minor": -2}, ".minor"),
        ({"type": "a", "major": 1}, ""),
        ({"access": "r"}, ""),
        ("c 1:3 rwm", ""),
    ],
)
def test_a_malformed_rule_is_refused_with_its_path(bad: Any, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate([{"allow": False}, bad])
    assert caught.value.where == f"linux.resources.devices[1]{where}"


DEVICES = st.tuples(st.sampled_from("bc"), st.sampled_from([-1, 1, 2]), st.sampled_from([-1, 1, 2]))
RULES = st.lists(
    st.one_of(
        st.builds(lambda allow: {"allow": allow}, st.booleans()),
        st.builds(
            lambda allow, d, access: rule(allow, *d, access), st.booleans(), DEVICES, st.sampled_from(["r", "rw", "m"])
        ),
    ),
    max_size=6,
)


@given(RULES)
def test_the_result_answers_every_question_as_the_rules_read_one_by_one(rules: list[dict[str, Any]]) -> None:
    """Either the list is refused, or each device and access is as the last rule that covers it says."""
    try:
        result = evaluate(rules)
    except Unsupported:
        return
    for kind in "bc":
        for major in (1, 2, 3):
            for minor in (1, 2, 3):
                for access in "rwm":
                    allowed = False
                    for each in rules:
                        covers = "type" not in each or (
                            each["type"] == kind and each["major"] in (-1, major) and each["minor"] in (-1, minor)
                        )
                        if covers and access in each.get("access", "rwm"):
                            allowed = each["allow"]
                    excepted = any(
                        k == kind and a in ("*", str(major)) and i in ("*", str(minor)) and access in accesses
                        for (k, a, i), accesses in result.exceptions.items()
                    )
                    assert (result.allow_all != excepted) == allowed
