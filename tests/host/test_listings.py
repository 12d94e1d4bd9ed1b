"""Listings of real containers: for programs as ever, on a terminal fitted and harmless, as JSON what the page says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../unit/cli"))
from cli_host import Bundles, Cli
from listing_schemas import problems
from terminal_window import Window

from corelaunch.cli.display import width

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

MARK = f"cl-ls-{os.getpid()}"

#: Sets the title, hides text, changes the order of what is read; as C1 controls, too. And what is no attack.
HOSTILE = "\x1b]0;title\x07\x1b[8m\x9b31m\u202e 漢字"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TERM": "xterm"}


def hostile(config: dict[str, Any]) -> None:
    config["annotations"] = {f"org.example.{HOSTILE}": HOSTILE}


@pytest.fixture
def container(cli: Cli, bundles: Bundles) -> str:
    """A running container whose bundle, annotations and arguments are hostile."""
    plain = Path(bundles("sh", "-c", "sleep 1000", HOSTILE, change=hostile))
    bundle = plain.with_name(f"{plain.name}{HOSTILE}")
    plain.rename(bundle)
    one = cli.new_id()
    with open(os.devnull, "r+b") as null:
        subprocess.run(
            cli.words("run", "--detach", "--bundle", str(bundle), one), check=True, stdin=null, stdout=null, stderr=null
        )
    return one


@pytest.fixture
def shown() -> Iterator[Callable[..., str]]:
    """What a command writes on a terminal."""
    windows: list[Window] = []

    def run(words: list[str], columns: int = 80, **environment: str) -> str:
        window = Window(words, columns=columns, env=ENVIRONMENT | environment)
        windows.append(window)
        text = window.rest()
        assert window.end() == 0, text
        return text.replace("\r\n", "\n")

    yield run
    for window in windows:
        window.close()


def harmless(text: str) -> bool:
    """Whether a terminal shows it all: no control characters but for our own colours."""
    return re.sub(r"\x1b\[(0|1|2|3[1-3])m|\n", "", text).isprintable()


@pytest.mark.parametrize(
    "words", ["list", "list --json", "list -f table", "list -f json", "ps ID", "ps -f table ID ax", "state ID"]
)
def test_what_others_have_named_cannot_command_the_terminal(
    cli: Cli, container: str, shown: Callable[..., str], words: str
) -> None:
    line = [container if word == "ID" else word for word in words.split()]
    text = shown(cli.words(*line))
    assert container in text or line[0] == "ps"
    assert harmless(text), text
    if "json" in words or line[0] == "state":
        assert json.loads(text) == json.loads(cli.ok(*line))
        assert "title" in text


def test_in_a_pipe_everything_is_as_it_is(cli: Cli, container: str) -> None:
    assert HOSTILE in cli.ok("list")
    assert HOSTILE in cli.ok("list", "--format", "table")
    assert json.loads(cli.ok("list", "--json"))[0]["annotations"] == {f"org.example.{HOSTILE}": HOSTILE}
    assert cli.ok("list", env=ENVIRONMENT | {"COLUMNS": "20"}) == cli.ok("list")


@pytest.mark.parametrize("columns", [60, 80])
def test_a_table_fits_the_terminal_unless_runcs_is_asked_for(
    cli: Cli, container: str, shown: Callable[..., str], columns: int
) -> None:
    fitted = shown(cli.words("list"), columns, NO_COLOR="1").splitlines()
    assert fitted[0].split()[0] == "ID"
    assert len(fitted) == 2 and max(map(width, fitted)) <= columns and fitted[1].endswith("漢字")
    assert max(map(width, shown(cli.words("ps", container), columns, NO_COLOR="1").splitlines())) <= columns
    whole = shown(cli.words("list", "--format", "table"), columns).splitlines()
    assert whole[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert len(whole[1]) > columns


def test_colours_are_for_terminals_that_want_them(cli: Cli, container: str, shown: Callable[..., str]) -> None:
    assert "\x1b[32mrunning\x1b[0m" in shown(cli.words("list"))
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in shown(cli.words("list"), **environment)
    assert "\x1b" not in cli.ok("list", env=ENVIRONMENT).replace(HOSTILE, "")


def test_json_is_as_documented(cli: Cli, container: str, bundles: Bundles) -> None:
    listed = cli.ok("list", "--json")
    assert problems("list", [json.loads(listed)], all_fields=False) == []
    for words in (["ps", "--json", container], ["check", "--json", container], ["gc", "--json"], ["plugins", "--json"]):
        assert problems(words[0], [json.loads(cli.ok(*words))], all_fields=False) == []
    assert problems("events", [json.loads(cli.ok("events", "--stats", "--json", container))], all_fields=False) == []
    assert problems("features", [json.loads(cli.ok("features", "--json"))], all_fields=False) == []
    assert problems("doctor", [json.loads(cli("doctor", "--json").out)]) == []


def test_a_plan_is_as_documented(cli: Cli, bundles: Bundles) -> None:
    def joins(config: dict[str, Any]) -> None:
        namespaces = config["linux"]["namespaces"]
        namespaces[:] = [one for one in namespaces if one["type"] != "ipc"]
        namespaces.append({"type": "ipc", "path": f"/proc/{os.getpid()}/ns/ipc"})

    plan = json.loads(cli.ok("plan", "--json", "--network", "veth", "--bundle", bundles("true", change=joins)))
    only_with_plugins = ("lifecycle[]", "edits[]", "warnings[]")
    assert [one for one in problems("plan", [plan]) if not one.startswith(only_with_plugins)] == []
