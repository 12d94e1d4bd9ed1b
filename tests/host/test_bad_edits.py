"""Bad edits of lifecycle plugins: the bad-input table's promises, and the line names the plugin, too."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli
from residue import Scope, diff, snapshot
from test_lifecycle_cli import HEAD, Site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

MARK = f"cl-be-{os.getpid()}"

#: What `corelaunch_adjust_config` returns -> what the line says after the plugin's name.
CONFIG_EDITS = {
    "SetEnv('A', 1)": "invalid edit: SetEnv: value is 1, not a string",
    "SetEnv('A', '\\udc80')": "invalid edit: SetEnv: value is '.*udc80', not a string of whole characters",
    "SetEnv('A', 'x\\0y')": r"process\.env\[2\]: contains a NUL character",
    "SetEnv('A=B', '1')": "'A=B' cannot name a variable",
    "SetEnv('A', '1'), SetEnv('A', '2')": r"contradicting edits: process\.env\[A\]",
    "AddMount('x', '/tmp')": r"mounts\[x\]: the destination is not absolute",
    "AddMount('/x', '/no/such')": "/no/such: no such file or directory",
    "AddMount('/x', 'x', type='nosuchfs')": "unknown filesystem type: /x",
    "AddMount('/x', '/tmp', options=['no'])": '"no" is not an option of a bind',
    "AddDevice('dev', 'c', 1, 3)": r"devices\[0\]\.path: 'dev' is not an absolute path",
    "AddDevice('/dev/x', 'c', 1, 3, access='z')": '"z" is not made of r, w and m',
    "AddHook('before', '/bin/true')": r"invalid hook: hooks\.before: known: prestart",
    "AddHook('prestart', 'true')": r"hooks\.prestart\[0\]\.path: 'true' is not an absolute path",
    "SetAnnotation('', 'x')": "an annotation needs a name",
    "SetResource('memory.limit', {1})": r"value is \{1\}, not a JSON value",
    "SetResource('memory.limit', {})": "it is an object .edit its members",
    "SetResource('memory', 5)": r"linux\.resources\.memory: must be an object",
    "SetResource('memory.limitt', 5)": r"linux\.resources\.memory\.limitt: the runtime-spec knows no such property",
    "SetResource('memori.limit', 5)": r"linux\.resources\.memori: the runtime-spec knows no such property",
    "SetRlimit('RLIMIT_FOO', 1, 1)": 'unknown rlimit "RLIMIT_FOO"',
    "SetSysctl('kernel.panic', '1')": "it would change the host",
    "DropCapability('NET_RAW')": "invalid edit: NET_RAW: there is no such capability .write it as in",
    "AddGroup(-1)": "additionalGids.* -1 is not in the range",
    "MaskPath('secret')": "'secret' is not an absolute path",
    "AddNetwork('nosuch')": "no network strategy called 'nosuch' is installed",
    "AddNetwork('veth', {'adress': '10.0.0.2/24'})": r"networks\[0\]\.adress: unknown option",
    "MakeFile('/x')": "corelaunch_adjust_config returned MakeFile.*none of its edits",
}
#: The same of `corelaunch_adjust_plan`.
PLAN_EDITS = {
    "MakeFile('x')": r"invalid path: plan\[x\]",
    "MakeFile('/a/../b')": "not an absolute path below / without ..",
    "MakeDirectory('/a', 0o77777)": "0o77777 is not in the range",
    "MakeSymlink('/l', '')": "'' cannot be linked to",
    "MakeFile('/a\\udc80')": "not a string of whole characters",
    "MakeFile('/proc/nosuch')": "file: openat: /proc/nosuch: no such file or directory",
    "SetEnv('A', '1')": "corelaunch_adjust_plan returned SetEnv.*none of its edits",
}
ROWS = [("config", *row) for row in CONFIG_EDITS.items()] + [("plan", *row) for row in PLAN_EDITS.items()]


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Site, Bundles]]:
    directory = tmp_path_factory.mktemp("edits")
    site = Site(directory / "site")
    cli = Cli(str(site.program), directory / "root", MARK)
    yield cli, site, Bundles(directory, MARK)
    cli.delete_all()


@pytest.mark.parametrize(("what", "edits", "line"), ROWS, ids=[row[1] for row in ROWS])
def test_a_bad_edit_gets_one_line_with_its_plugin_and_nothing_is_left(
    cli: tuple[Cli, Site, Bundles], what: str, edits: str, line: str
) -> None:
    run, site, bundles = cli
    name = f"bad{len(list(site.plugins.glob('*.py')))}"
    site.add(name, HEAD + f"@hookimpl\ndef corelaunch_adjust_{what}():\n    return [{edits}]\n")
    scope = Scope(marks=(MARK,))
    before = snapshot(scope)
    outcome = run("create", "--bundle", bundles("true"), run.new_id(), options=("--plugin", name))
    assert (outcome.code, outcome.out) == (1, "")
    assert re.fullmatch(rf"corelaunch: lifecycle plugin '{name}'( failed)?: .*{line}.*\n", outcome.err)
    end = time.monotonic() + 5  # a keyring goes a moment after its last process
    while (left := diff(before, snapshot(scope)).left) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == ()
    assert not run.root.exists() or not os.listdir(run.root)
