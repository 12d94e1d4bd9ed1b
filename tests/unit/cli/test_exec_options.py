"""``exec``: the process that options describe on top of config.json."""

from __future__ import annotations

from typing import Any

import pytest

from corelaunch.cli.exec import COMMAND, described_by_options
from corelaunch.cli.options import parse
from corelaunch.errors import ConfigError, UsageError

BASE: dict[str, Any] = {
    "terminal": True,
    "consoleSize": {"height": 1, "width": 2},
    "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
    "args": ["sh"],
    "env": ["A=1"],
    "cwd": "/work",
    "capabilities": {
        "bounding": ["CAP_KILL"],
        "effective": ["CAP_KILL"],
        "permitted": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    },
    "noNewPrivileges": False,
}


def described(*words: str, base: dict[str, Any] = BASE) -> dict[str, Any]:
    options, arguments, _ = parse(COMMAND.options, words, mixed=COMMAND.mixed)
    return described_by_options(base, arguments[1:], options)


def test_what_no_option_says_is_as_in_config_json_but_for_the_terminal() -> None:
    expected = {**BASE, "args": ["ls", "-l"], "terminal": False}
    expected.pop("consoleSize")
    assert described("ID", "ls", "-l") == expected


def test_options_change_what_they_name() -> None:
    process = described(
        *"-t --cwd /else -e B=2 --env C=3 -u 7:8 -g 9 --no-new-privs --apparmor p --process-label l ID true".split()
    )
    assert process["terminal"] is True
    assert process["cwd"] == "/else"
    assert process["env"] == ["A=1", "B=2", "C=3"]
    assert process["user"] == {"uid": 7, "gid": 8, "additionalGids": [3, 9]}
    assert process["noNewPrivileges"] is True
    assert (process["apparmorProfile"], process["selinuxLabel"]) == ("p", "l")


def test_a_user_without_group_keeps_the_configs_group() -> None:
    assert described("--user", "7", "ID", "true")["user"]["gid"] == 2


def test_a_capability_becomes_ambient_only_where_there_is_an_inheritable_set() -> None:
    sets = described("--cap", "CAP_CHOWN", "ID", "true")["capabilities"]
    for name in ("bounding", "effective", "permitted"):
        assert sets[name] == ["CAP_KILL", "CAP_CHOWN"]
    assert sets["ambient"] == ["CAP_KILL"]
    assert "inheritable" not in sets
    base = {**BASE, "capabilities": {"inheritable": []}}
    assert described("-c", "CAP_CHOWN", "ID", "true", base=base)["capabilities"]["ambient"] == ["CAP_CHOWN"]


def test_the_config_itself_is_not_changed() -> None:
    before = repr(BASE)
    described("-e", "B=2", "-c", "CAP_CHOWN", "-g", "9", "ID", "true")
    assert repr(BASE) == before


def test_no_command_is_refused_in_runcs_words() -> None:
    with pytest.raises(ConfigError, match="process args cannot be empty"):
        described("ID")


@pytest.mark.parametrize("words", ["-u root", "-u 1:x", "-u 1:", "-u :1", "-u -1", "-g wheel", "-u 4294967295"])
def test_users_and_groups_are_numbers(words: str) -> None:
    with pytest.raises(UsageError, match="it takes numeric ids"):
        described(*words.split(), "ID", "true")
