"""Lifecycle plugins under the command: its config file, its deadlines, and what a plugin does that hangs."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli
from plugin_site import Site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

HEAD = "import os, re, time\nfrom corelaunch.api import *\nfrom corelaunch.api import hookimpl\ncorelaunch_api = 1\n"
MOMENT = "@hookimpl\ndef corelaunch_moment(moment):\n"
AUDIT = HEAD + MOMENT + "    open({log!r}, 'a').write(moment.name + '\\n')\n"
#: What to do about one that does not return.
WAY_OUT = (
    "what was begun is undone by delete --force once the plugin is mended or another version of it installed; "
    "--forget-plugin does without it"
)
#: Ways not to return: asleep, in Python, in C that keeps the interpreter's lock.
HANGS = {
    "asleep": "time.sleep(60)",
    "in Python": "while True: pass",
    "in C": "re.match(r'(a+)+$', 'a' * 60 + 'b')",
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"), f"cl-lc-{os.getpid()}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def cli(site: Site, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(str(site.program), tmp_path / "root", f"cl-lc-{os.getpid()}")
    yield cli
    cli.delete_all()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The operator's config file."""
    tmp_path.chmod(0o755)
    path = tmp_path / "config.toml"
    path.write_text("[deadlines]\nplugin_call = 1\n")
    path.chmod(0o644)
    return path


def processes_of(container_id: str) -> list[str]:
    """Processes that live in a cgroup of this name, in any hierarchy (what is dead, pid 1 reaps when it likes)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            text = path.read_text()
            dead = path.with_name("stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        if container_id in text and not dead:
            found.append(path.parent.name)
    return found


def hang_at(moment: str, how: str) -> str:
    return HEAD + MOMENT + f"    if moment.name == {moment!r}:\n        {HANGS[how]}\n"


@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("moment", ["creating", "hooks point", "created", "starting"])
def test_a_plugin_that_hangs_ends_the_command_with_one_line(
    site: Site, cli: Cli, bundles: Bundles, config: Path, moment: str, how: str
) -> None:
    site.add("slow", hang_at(moment, how))
    one = cli.new_id()
    options = ("--config", str(config), "--plugin", "slow")
    outcome = cli("run", "--bundle", bundles("sleep", "100"), one, options=options)
    line = f"corelaunch: lifecycle plugin 'slow' does not return: moment '{moment}': after 1 s "
    assert outcome.err == f"{line}({WAY_OUT})\n"
    assert (outcome.code, outcome.out) == (1, "")
    left = cli.state(one)
    deadline = time.monotonic() + 5
    while cli.state(one)["pid"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert cli.state(one)["pid"] == 0, left
    site.remove("slow")
    site.add("slow2", HEAD + MOMENT + "    pass\n")
    cli("delete", "--force", one)
    assert processes_of(one) == []


def test_delete_force_finishes_what_an_overrun_began(
    site: Site, cli: Cli, bundles: Bundles, config: Path
) -> None:
    site.add("slow", hang_at("hooks point", "asleep"))
    one = cli.new_id()
    words = ("create", "--bundle", bundles("sleep", "100"), one)
    assert cli(*words, options=("--config", str(config), "--plugin", "slow")).code == 1
    assert os.listdir(cli.root) == [one]
    cli.ok("delete", "--force", one)
    assert os.listdir(cli.root) == []


def test_the_line_goes_to_the_log_as_every_failure(
    site: Site, cli: Cli, bundles: Bundles, config: Path, tmp_path: Path
) -> None:
    site.add("slow", hang_at("creating", "in Python"))
    options = ("--config", str(config), "--plugin", "slow", "--log", str(tmp_path / "log"))
    line = "lifecycle plugin 'slow' does not return: moment 'creating': after 1 s "
    for form in ("json", "text"):
        (tmp_path / "log").write_text("")
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        words = ("create", "--bundle", bundles("true"), cli.new_id())
        outcome = cli(*words, options=(*options, "--log-format", form))
        assert outcome.err == f"{line}({WAY_OUT})\n"
        written = (tmp_path / "log").read_text()
        if form == "json":
            record = json.loads(written)
            assert (record["level"], record["msg"]) == ("error", outcome.err.rstrip("\n"))
            assert began <= record["time"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        else:
            assert re.fullmatch(r'time="....-..-..T..:..:..Z" level=error msg="lifecycle plugin .*"\n', written)


def test_an_exec_that_hangs_in_a_plugin_leaves_the_container(
    site: Site, cli: Cli, bundles: Bundles, config: Path
) -> None:
    site.add("slow", hang_at("executing", "asleep"))
    one = cli.new_id()
    cli.ok("run", "-d", "--bundle", bundles("sleep", "100"), one, options=("--config", str(config), "--plugin", "slow"))
    outcome = cli("exec", one, "true")  # the deadline of its create, without the file
    assert outcome.code == 255
    assert "lifecycle plugin 'slow' does not return: moment 'executing': after 1 s" in outcome.err
    assert cli.state(one)["status"] == "running"
    cli.ok("delete", "--force", one)


def test_a_plugin_that_hangs_while_it_is_imported_makes_nothing(
    site: Site, cli: Cli, bundles: Bundles, config: Path
) -> None:
    site.add("slow", "import time\ntime.sleep(60)\n")
    options = ("--config", str(config), "--plugin", "slow")
    outcome = cli("create", "--bundle", bundles("true"), cli.new_id(), options=options)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("corelaunch: lifecycle plugin 'slow' does not return: import: after 1 s")
    assert not cli.root.exists() or os.listdir(cli.root) == []


def test_a_backend_that_hangs_ends_the_command_too(site: Site, cli: Cli, bundles: Bundles, config: Path) -> None:
    code = HEAD + "import corelaunch.testing.scope_manager as base\n"
    code += "class Slow(base.ScopeManager):\n    def create(self, *arguments):\n        time.sleep(60)\n"
    code += "@hookimpl\ndef corelaunch_cgroup_manager(): return Slow()\n"
    site.add("slow", code, "cgroup_managers")
    one = cli.new_id()
    options = ("--config", str(config), "--cgroup-manager", "slow")

    def plain(content: dict[str, Any]) -> None:
        content["linux"].pop("cgroupsPath", None)
        content["linux"].pop("resources", None)

    outcome = cli("create", "--bundle", bundles("true", change=plain), one, options=options)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("corelaunch: cgroup_manager:slow does not return: create: after 1 s")
    cli.ok("delete", "--force", one)


def test_what_the_config_file_names_runs_and_the_front_leaves_it_to_python(
    site: Site, cli: Cli, bundles: Bundles, config: Path, tmp_path: Path
) -> None:
    site.add("audit", AUDIT.format(log=str(tmp_path / "told")))
    config.write_text('plugins = ["audit"]\n')
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100"), one, options=("--config", str(config)))
    cli.ok("start", one)
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    cli.ok("delete", one)
    told = "creating,hooks point,created,starting,started,stopped,deleted"
    assert (tmp_path / "told").read_text().split("\n")[:-1] == told.split(",")


def test_the_audit_example_records_a_life_and_stops_what_it_cannot_record(
    site: Site, cli: Cli, bundles: Bundles, config: Path, tmp_path: Path
) -> None:
    example = Path(__file__).resolve().parents[2] / "examples/corelaunch-audit/corelaunch_audit.py"
    log = tmp_path / "log/audit.jsonl"
    site.add("audit", example.read_text().replace("/var/log/corelaunch-audit.jsonl", str(log)))
    config.write_text('plugins = ["audit"]\n')
    options = ("--config", str(config))
    one = cli.new_id()
    outcome = cli("run", "--bundle", bundles("true"), one, options=options)
    assert outcome.code == 1
    line = f"corelaunch: lifecycle plugin 'audit': cannot write the audit log: {log}: no such file or directory\n"
    assert outcome.err == line
    assert not cli.root.exists() or os.listdir(cli.root) == []
    log.parent.mkdir()
    cli.ok("run", "--bundle", bundles("true"), one, options=options)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = "creating,hooks point,created,starting,started,stopped,deleted"
    assert [line["moment"] for line in lines] == told.split(",")
    assert {line["container"] for line in lines} == {one}


def test_a_config_file_that_is_refused_stops_only_verbs_that_choose(cli: Cli, bundles: Bundles, config: Path) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100"), one)
    config.write_text("plugin = 'x'\n")
    options = ("--config", str(config))
    outcome = cli("create", "--bundle", bundles("true"), cli.new_id(), options=options)
    assert outcome.err == (
        f"corelaunch: invalid config file: {config}: plugin: unknown key (did you mean plugins?)\n"
    )
    for words in (("state", one), ("start", one), ("kill", one, "KILL"), ("delete", "--force", one), ("list",)):
        assert cli(*words, options=options).code == 0


def test_the_annotation_is_honoured_for_permitted_types_only(cli: Cli, bundles: Bundles, config: Path) -> None:
    config.write_text('[networks]\nannotation = ["veth"]\n')

    def change(content: dict[str, Any]) -> None:
        networks = [{"type": "veth"}, {"type": "host-device", "options": {"name": "eth0"}}]
        content["annotations"] = {"org.corelaunch.networks": json.dumps(networks)}
        if not any(entry["type"] == "network" for entry in content["linux"]["namespaces"]):
            content["linux"]["namespaces"].append({"type": "network"})

    words = ("plan", "--json", "--bundle", bundles("true", change=change))
    without = json.loads(cli.ok(*words, options=("--config", "/dev/null")))
    ignored = "annotation org.corelaunch.networks is ignored: no network type is permitted to it"
    assert ignored in without["warnings"]
    plan = json.loads(cli.ok(*words, options=("--config", str(config))))
    assert [one["owner"] for one in plan["backends"] if "network" in one["owner"]] == ["network_strategy:veth:0"]
    assert "annotation org.corelaunch.networks: network type 'host-device' is not permitted to it" in plan["warnings"]


def test_a_plugin_adds_commands_checks_and_features(site: Site, cli: Cli) -> None:
    code = (
        "@hookimpl\ndef corelaunch_commands():\n    def run(words, runtime):\n"
        "        os.write(1, ' '.join([*words, runtime.root.path]).encode())\n        return 7\n"
        "    return [PluginCommand('greet', 'says what it was told', run)]\n"
        "@hookimpl\ndef corelaunch_doctor():\n    return [DoctorCheck('collector', 'warn', 'no answer', 'start it')]\n"
        "@hookimpl\ndef corelaunch_features():\n"
        "    return {'org.example.audit': '1', 'org.corelaunch.version': 'mine'}\n"
    )
    site.add("more", HEAD + code)
    options = ("--plugin", "more")
    outcome = cli("greet", "--loud", "you", options=options)
    assert (outcome.code, outcome.out, outcome.err) == (7, f"--loud you {cli.root}", "")
    assert cli("greet", "you").code == 3  # not named: not asked
    assert cli("nosuch", options=options).code == 3
    checks = json.loads(cli("doctor", "--json", options=options).out)
    mine = [check for check in checks if check["group"] == "plugin more"]
    assert mine == [
        {"group": "plugin more", "name": "collector", "status": "warn", "text": "no answer", "hint": "start it"}
    ]
    annotations = json.loads(cli.ok("features", options=options))["annotations"]
    assert annotations["org.example.audit"] == "1"
    assert annotations["org.corelaunch.version"] != "mine"
    assert "org.example.audit" not in json.loads(cli.ok("features"))["annotations"]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("return 5", "corelaunch_commands: 5 is no PluginCommand"),
        ("return [PluginCommand('greet', '', lambda words, runtime: 1 / 0)]", "command greet: ZeroDivisionError: .*"),
        ("return [PluginCommand('greet', '', lambda words, runtime: None)]", "command greet: None is no exit code"),
    ],
)
def test_a_command_of_a_plugin_that_fails_names_the_plugin(site: Site, cli: Cli, code: str, line: str) -> None:
    site.add("more", HEAD + f"@hookimpl\ndef corelaunch_commands():\n    {code}\n")
    outcome = cli("greet", options=("--plugin", "more"))
    assert (outcome.code, outcome.out) == (1, "")
    assert re.fullmatch(f"corelaunch: lifecycle plugin 'more' failed: {line}\n", outcome.err)


def test_a_broken_lifecycle_plugin_is_a_row_with_its_reason(site: Site, cli: Cli) -> None:
    site.add("typo", HEAD + "@hookimpl\ndef corelaunch_momnt(moment): pass\n")
    (row,) = (row for row in json.loads(cli.ok("plugins", "--json")) if row["name"] == "typo")
    assert (row["health"], row["kind"]) == ("broken", "lifecycle")
    assert "corelaunch_momnt is no hook" in row["reason"]
    assert row["hint"] == "corelaunch_momnt is no hook, corelaunch_moment is"


def test_nothing_in_the_environment_adds_a_plugin(site: Site, cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    site.add("audit", AUDIT.format(log=str(tmp_path / "told")))
    config = tmp_path / "home/.config/corelaunch/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('plugins = ["audit"]\n')
    environment = {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(config.parents[1]),
        "PYTHONPATH": str(site.plugins),
        "CORELAUNCH_PLUGINS": "audit",
        "CORELAUNCH_CONFIG": str(config),
    }
    cli.ok("run", "--bundle", bundles("true"), cli.new_id(), env=environment)
    assert not (tmp_path / "told").exists()


def test_what_befell_a_plugin_after_the_fact_stops_nothing_and_is_told_in_a_pipe_too(
    site: Site, cli: Cli, bundles: Bundles
) -> None:
    """The operator has named it; with ``--log`` it is told there alone."""
    site.add("hook", HEAD + "@hookimpl\ndef corelaunch_moment(moment):\n    if moment.name == 'started': 1 / 0\n")
    one = cli.new_id()
    outcome = cli("run", "--bundle", bundles("true"), one, options=("--plugin", "hook"))
    assert outcome.code == 0
    assert "lifecycle plugins failed at moment 'started'" in outcome.err and "ZeroDivisionError" in outcome.err
    log = cli.root.parent / "log"
    logged = cli("run", "--bundle", bundles("true"), cli.new_id(), options=("--plugin", "hook", "--log", str(log)))
    assert (logged.err, "ZeroDivisionError" in log.read_text()) == ("", True)
