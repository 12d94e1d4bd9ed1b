"""The operator's config file: what it may say, who may write it, and what becomes of it on a command line."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from corelaunch import plain_toml
from corelaunch.cli.config_file import with_config
from corelaunch.errors import ConfigError, KernelError
from corelaunch.networks import permitted
from corelaunch.settings import Settings, read

WHOLE = """
# for every container
cgroup_manager = "systemd"
rdt_manager = 'resctrl'
plugins = ["audit", "policy"]

[networks]
annotation = ["veth"]

[deadlines]
plugin_call = 2.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    path = tmp_path / "config.toml"
    path.write_text(WHOLE)
    path.chmod(0o644)
    return path


def test_a_whole_file(file: Path) -> None:
    assert read(str(file)) == Settings("systemd", "resctrl", ("audit", "policy"), ("veth",), 2.5)


def test_an_empty_file_leaves_everything_as_it_is(file: Path) -> None:
    file.write_text("")
    assert read(str(file)) == Settings()


PLAIN = [
    WHOLE,
    "",
    "a = 1",
    "a = 0",
    "a = 1.5",
    "a = 0.25",
    "a=[]",
    'a = ["x",]',
    'a = [ "x" , \'y\' ]',
    "[t]\n\t b = 2\n",
    'a = ""',
    "a = '#'",
    'a-b_c = "d e"',
    "a = 1 # why",
    "a = ['x', \"y\"] # don't",
    'a = "#" ',
]
OTHER = [
    'a = "#" # b',
    """a = "it's" # b""",
    'a = "\\n"',
    'a = ["x", 1]',
    'a = [\n"x"\n]',
    "a.b = 1",
    "[a.b]\nc = 1",
    "a = {b = 1}",
    "a = true",
    "a = 1_000",
    "a = -1",
    'a = ["x,y"]',
    '"a" = 1',
    "a = 2026-01-01",
    'a = """x"""',
    "a = 1\r\nb = 2\r\n",
    "[[a]]\nb = 1",
    "a = 1e3",
]
WRONG = [
    "a",
    "a =",
    "= 1",
    "a = 01",
    "a = 1.",
    "a = .5",
    "a = x",
    'a = "x',
    'a = "x" "y"',
    "a = 1\na = 2",
    "[a]\n[a]",
    "a = 1\n[a]",
    "[a",
    "[]",
    "[a] b",
    "a b = 1",
    'a = ["x"',
    'a = ["x",,]',
    "a = [,]",
    "a = 1\rb = 2",
    "a = \x01",
    "\x7f",
    "a = ''x''",
]


@pytest.mark.parametrize("text", [*PLAIN, *OTHER, *WRONG])
def test_the_plain_reader_says_what_tomllib_says_or_nothing(text: str) -> None:
    found = plain_toml.loads(text)
    assert (found is not None) == (text in PLAIN)
    if found is not None:
        assert found == tomllib.loads(text)
        assert [type(value) for value in found.values()] == [type(value) for value in tomllib.loads(text).values()]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_toml_is_refused_with_the_place(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match="invalid config file"):
        read(str(file))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cgroup_manger = 'x'", "cgroup_manger: unknown key (did you mean cgroup_manager?)"),
        ("annotation = ['x']", "annotation: unknown key (did you mean networks.annotation?)"),
        ("[deadlines]\nplugin_cal = 1", "deadlines.plugin_cal: unknown key (did you mean deadlines.plugin_call?)"),
        ("zzz = 1", "zzz: unknown key (known: cgroup_manager, rdt_manager, plugins, networks.annotation,"),
        ("plugins = 'audit'", """plugins: 'audit' is not a list of names (write plugins = ["NAME"])"""),
        ("plugins = ['']", "plugins: [''] is not a list of names"),
        ("plugins = ['a', 'a']", "plugins: a name stands in it twice"),
        ("cgroup_manager = 3", "cgroup_manager: 3 is not a name"),
        ("cgroup_manager = ''", "cgroup_manager: '' is not a name"),
        ("networks = 3", "networks: it is not a table (write [networks])"),
        ("[deadlines]\nplugin_call = 0", "deadlines.plugin_call: 0 is not a number of seconds from 0.1 to 3600"),
        ("[deadlines]\nplugin_call = true", "deadlines.plugin_call: True is not a number of seconds"),
        ("[deadlines]\nplugin_call = nan", "deadlines.plugin_call: nan is not a number of seconds"),
        ("a = ", "Invalid value (at end of document)"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(file: Path, text: str, line: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(str(file))
    assert str(caught.value).startswith(f"invalid config file: {file}: ")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.needs_root
@pytest.mark.parametrize("how", ["group", "others", "owner", "directory"])
def test_what_somebody_else_could_have_written_is_refused(file: Path, how: str) -> None:
    if how == "owner":
        os.chown(file, 12345, 0)
    elif how == "directory":
        file.parent.chmod(0o775)
    else:
        file.chmod(0o664 if how == "group" else 0o646)
    with pytest.raises(ConfigError, match=r"config file refused: .*\(chown root and chmod go-w\)"):
        read(str(file))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, line in (("missing", "there is no such config file"), ("fifo", "not a regular file"), (".", "regular")):
        with pytest.raises((ConfigError, KernelError), match=line):
            read(str(tmp_path / path))


def test_a_file_that_is_too_large_is_refused(file: Path) -> None:
    file.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(ConfigError, match="larger than"):
        read(str(file))


def test_an_option_wins_and_lifecycle_plugins_cannot_be_left_out(file: Path) -> None:
    choice: dict[str, Any] = {"cgroup_manager": "mine", "rdt_manager": "", "plugins": ("gpu", "audit")}
    assert with_config(str(file), choice) == {
        "cgroup_manager": "mine",
        "rdt_manager": "resctrl",
        "plugins": ("audit", "policy", "gpu"),
        "annotation_networks": ("veth",),
        "call_seconds": 2.5,
    }


def test_the_annotation_gets_only_permitted_types() -> None:
    text = '[{"type": "veth", "options": {"name": "eth0"}}, {"type": "host-device"}, "veth:mtu=1400"]'
    found, warnings = permitted(text, ("veth",))
    assert [network["options"] for network in found] == [{"name": "eth0"}, {"mtu": "1400"}]
    assert warnings == ["annotation org.corelaunch.networks: network type 'host-device' is not permitted to it"]
