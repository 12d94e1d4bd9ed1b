"""ps, beside runc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli, wait_until

from corelaunch.runtime import Runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MARK = f"cl-ps-{os.getpid()}"
THREE = "sleep 1000 & sleep 1000 & wait"


def three(cli: Cli, bundles: Bundles) -> tuple[str, list[int]]:
    one = cli.new_id()
    with open(os.devnull, "r+b") as null:
        words = cli.words("run", "--detach", "--bundle", bundles("sh", "-c", THREE), one)
        subprocess.run(words, check=True, stdin=null, stdout=null, stderr=null)
    wait_until(lambda: len(json.loads(cli.ok("ps", "--format", "json", one))) == 3, 10, "three processes")
    return one, json.loads(cli.ok("ps", "--format=json", one))


def test_the_table_is_that_of_the_hosts_ps_as_runc_shows_it(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    runc = Cli(RUNC, tmp_path / "runc", f"{MARK}-r")
    try:
        shapes = []
        for one in (cli, runc):
            container_id, pids = three(one, bundles)
            for arguments in ((), ("-ef",), ("-o", "pid,comm,args", "-A"), ("aux",)):
                lines = one.ok("ps", container_id, *arguments).splitlines()
                column = lines[0].split().index("PID")
                assert sorted(int(line.split()[column]) for line in lines[1:]) == sorted(pids)
                shapes.append((one is cli, arguments, lines[0].split(), len(lines)))
        assert [shape[1:] for shape in shapes if shape[0]] == [shape[1:] for shape in shapes if not shape[0]]
    finally:
        runc.delete_all()


def test_json_has_the_pids_of_cgroups_inside_too(cli: Cli, bundles: Bundles) -> None:
    one, pids = three(cli, bundles)
    assert pids == sorted(pids)
    assert cli.state(one)["pid"] in pids
    paths = Runtime(str(cli.root)).load(one).cgroup_paths
    inside = Path(paths.get("pids") or paths[""], "inside")
    inside.mkdir()
    (inside / "cgroup.procs").write_text(str(pids[-1]))
    assert json.loads(cli.ok("ps", "-f", "json", one)) == pids
    assert json.loads(cli.ok("ps", "--json", one)) == pids


def test_a_stopped_container_has_no_processes_and_json_says_null_as_runc(cli: Cli, bundles: Bundles) -> None:
    one, _ = three(cli, bundles)
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    wait_until(lambda: cli.ok("ps", "--format", "json", one) == "null\n", 5, "the last process to be gone")
    assert len(cli.ok("ps", one).splitlines()) == 1


def test_ps_needs_no_environment(cli: Cli, bundles: Bundles) -> None:
    one, pids = three(cli, bundles)
    assert len(cli.ok("ps", one, env={}).splitlines()) == len(pids) + 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("ps", "--format", "xml", "ID"), "invalid format option: xml"),
        (("ps", "ID", "-o", "comm"), "ps shows no column PID"),
        (("ps", "ID", "-o", "args,pid", "-A"), "a column before PID has blanks in it"),
        (("ps", "ID", "--bogus"), "ps failed: --bogus"),
        (("ps",), '"ps" requires a minimum of 1 argument'),
        (("ps", "none"), "container does not exist"),
    ],
)
def test_a_bad_call_is_one_line(cli: Cli, bundles: Bundles, words: tuple[str, ...], text: str) -> None:
    one, _ = three(cli, bundles)
    outcome = cli(*(one if word == "ID" else word for word in words))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1), outcome
    assert text in outcome.err
