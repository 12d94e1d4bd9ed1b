"""Edits change a copy, one thing each, and what they cannot change they refuse by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from corelaunch import api
from corelaunch.adjustment import adjust_config, adjust_plan, copied, replayed, replayed_process
from corelaunch.api import ConfigError, CorelaunchError, PluginError
from corelaunch.config_edits import CONFIG_EDITS
from corelaunch.edits import PLAN_EDITS, as_json, describe, from_json
from corelaunch.plan.init_plan import init_plan
from corelaunch.plugins.guard import Guard
from corelaunch.spec.bundle import Bundle
from corelaunch.testing import bundles

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EXAMPLES: dict[str, tuple[api.ConfigEdit, str, Any]] = {
    "SetEnv": (api.SetEnv("PATH", "/x"), "process.env", ["TERM=xterm", "PATH=/x"]),
    "UnsetEnv": (api.UnsetEnv("TERM"), "process.env.0", PATH),
    "AddMount": (
        api.AddMount("/data", "/srv", options=["ro"]),
        "mounts.-1",
        {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro"]},
    ),
    "RemoveMount": (api.RemoveMount("/dev/mqueue"), "mounts.4.destination", "/sys"),
    "AddDevice": (
        api.AddDevice("/dev/fuse", "c", 10, 229),
        "linux.devices",
        [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "uid": 0, "gid": 0}],
    ),
    "AddHook": (
        api.AddHook("poststop", "/bin/true", ["true"], timeout=3),
        "hooks.poststop",
        [{"path": "/bin/true", "args": ["true"], "env": [], "timeout": 3}],
    ),
    "SetAnnotation": (api.SetAnnotation("a", "b"), "annotations", {"a": "b"}),
    "SetResource": (api.SetResource("memory.limit", 5), "linux.resources.memory.limit", 5),
    "SetIntelRdt": (
        api.SetIntelRdt("gold", mem_bw_schema="MB:0=50", schemata=["L3:0=f"], enable_monitoring=True),
        "linux.intelRdt",
        {"closID": "gold", "memBwSchema": "MB:0=50", "schemata": ["L3:0=f"], "enableMonitoring": True},
    ),
    "SetRlimit": (
        api.SetRlimit("RLIMIT_NOFILE", 5, 6),
        "process.rlimits",
        [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}],
    ),
    "SetSysctl": (api.SetSysctl("net.ipv4.ip_forward", "1"), "linux.sysctl", {"net.ipv4.ip_forward": "1"}),
    "DropCapability": (
        api.DropCapability("CAP_KILL"),
        "process.capabilities.effective",
        ["CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"],
    ),
    "AddGroup": (api.AddGroup(44), "process.user.additionalGids", [44]),
    "MaskPath": (api.MaskPath("/secret"), "linux.maskedPaths.-1", "/secret"),
}


def config() -> dict[str, Any]:
    return bundles.config("true")


def at(config: Any, path: str) -> Any:
    for part in path.split("."):
        config = config[int(part)] if isinstance(config, list) else config[part]
    return config


class Registered:
    """Stands for a registry: lifecycle plugins by name, as their hooks."""

    def __init__(self, **plugins: Any) -> None:
        self.guard = Guard(lambda level, message: None)
        self.plugins = plugins

    def lifecycle(self, name: str, made_by: str = "") -> Any:
        return self.plugins[name]


def adjusted(content: dict[str, Any], **edits: Any) -> Any:
    """The config adjusted by plugins of these names, each with its edits."""
    hooks = {name: {"corelaunch_adjust_config": lambda answer=answer, **_: answer} for name, answer in edits.items()}
    plugins = [(name, f"corelaunch-{name} 1") for name in edits]
    registry: Any = Registered(**hooks)
    return adjust_config(registry, plugins, "demo", Bundle("/", {**content, "root": {"path": "/usr"}}))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_edit_does_what_it_says(name: str) -> None:
    edit, path, expected = EXAMPLES[name]
    content = config()
    edit.apply(content)
    assert at(content, path) == expected


def test_every_edit_of_a_config_has_an_example() -> None:
    assert {kind.__name__ for kind in CONFIG_EDITS} == {*EXAMPLES, "AddNetwork"}


def test_every_edit_is_in_the_api_and_survives_the_journal() -> None:
    edits = [edit for edit, _, _ in EXAMPLES.values()]
    edits += [api.AddNetwork("veth", {"address": "10.0.0.2/24"})]
    more = [api.MakeDirectory("/a"), api.MakeFile("/b"), api.MakeSymlink("/c", "d")]
    for edit in (*edits, *more):
        assert getattr(api, type(edit).__name__) is type(edit)
        again = from_json(json.loads(json.dumps(as_json(edit))))
        assert as_json(again) == json.loads(json.dumps(as_json(edit)))
        assert "\n" not in describe(edit) and describe(edit).startswith(type(edit).__name__)
    assert {type(edit) for edit in more} == set(PLAN_EDITS)


def test_the_callers_config_is_never_changed() -> None:
    content = config()
    before = copied(content)
    result = adjusted(content, one=[edit for edit, _, _ in EXAMPLES.values()])
    assert content == before
    assert result.config != before
    assert [owned.owner for owned in result.edits] == ["one"] * len(EXAMPLES)


def test_a_device_leaves_every_other_one_forbidden() -> None:
    content = config()
    del content["linux"]["resources"]
    api.AddDevice("/dev/fuse", "c", 10, 229, access="rw").apply(content)
    assert content["linux"]["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ]


def test_a_mount_replaces_the_one_at_its_destination_where_it_stands() -> None:
    content = config()
    before = [mount["destination"] for mount in content["mounts"]]
    api.AddMount("/dev", "/srv", options=("bind",)).apply(content)
    assert [mount["destination"] for mount in content["mounts"]] == before
    assert content["mounts"][1]["options"] == ["bind"]


def test_a_later_plugin_sees_what_an_earlier_one_did() -> None:
    seen = []

    def look(config: Any, **_: Any) -> None:
        seen.append(config["annotations"])

    first = {"corelaunch_adjust_config": lambda **_: [api.SetAnnotation("a", "b")]}
    registry: Any = Registered(first=first, second={"corelaunch_adjust_config": look})
    content = {**config(), "root": {"path": "/usr"}}
    adjust_config(registry, [("first", ""), ("second", "")], "demo", Bundle("/", content))
    assert seen == [{"a": "b"}]


@pytest.mark.parametrize(
    ("one", "two", "where"),
    [
        (api.SetEnv("A", "1"), api.SetEnv("A", "2"), "process.env[A]"),
        (api.SetEnv("A", "1"), api.UnsetEnv("A"), "process.env[A]"),
        (api.AddMount("/a", "/usr"), api.AddMount("/a", "/srv"), "mounts[/a]"),
        (api.AddMount("/a", "/usr"), api.RemoveMount("/a"), "mounts[/a]"),
        (api.SetResource("pids.limit", 1), api.SetResource("pids.limit", 2), "linux.resources.pids.limit"),
        (api.SetAnnotation("a", "1"), api.SetAnnotation("a", "2"), "annotations[a]"),
    ],
)
def test_two_plugins_that_contradict_each_other_are_both_named(one: Any, two: Any, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adjusted(config(), audit=[one], policy=[two])
    assert str(caught.value).startswith(
        f"lifecycle plugins 'audit' and 'policy': contradicting edits: {where}: {describe(one)}; {describe(two)}"
    )


def test_two_plugins_that_want_the_same_agree() -> None:
    result = adjusted(config(), audit=[api.SetEnv("A", "1")], policy=[api.SetEnv("A", "1")])
    assert result.config["process"]["env"].count("A=1") == 1


def test_one_plugin_that_contradicts_itself_is_named() -> None:
    with pytest.raises(ConfigError, match="lifecycle plugin 'audit': contradicting edits"):
        adjusted(config(), audit=[api.SetEnv("A", "1"), api.SetEnv("A", "2")])


WRONG: list[tuple[Any, str]] = [
    ([api.SetEnv("", "x")], "lifecycle plugin 'audit': invalid name: process.env[]: '' cannot name a variable"),
    ([api.SetEnv("A", 3)], "lifecycle plugin 'audit': invalid edit: SetEnv: value is 3, not a string"),
    ([api.SetEnv("A", "x\0")], "lifecycle plugin 'audit': config.json: process.env[2]: contains a NUL"),
    ([api.AddMount("relative", "/x")], "'audit': invalid path: mounts[relative]: the destination is not absolute"),
    ([api.AddMount("/x", "/y", options="ro")], "AddMount: options is 'ro', not a list of strings"),
    ([api.AddMount("/x", "/y\0")], "lifecycle plugin 'audit': config.json: mounts[7].source: contains a NUL"),
    ([api.AddHook("prestrat", "/x")], "invalid hook: hooks.prestrat: known: prestart"),
    ([api.SetRlimit("RLIMIT_NONE", 1, 2)], "config.json: process.rlimits[1].type"),
    ([api.SetResource("memory", {"limit": 1})], "linux.resources.memory: it is an object (edit its members)"),
    ([api.SetResource("memory.limit", "1G")], "config.json: linux.resources.memory.limit"),
    ([api.SetResource("memory..limit", 1)], "linux.resources.memory..limit: a name in it is empty"),
    ([api.SetSysctl("kernel.panic", "1")], "config.json: linux.sysctl"),
    ([api.SetIntelRdt("a", enable_monitoring=1)], "SetIntelRdt: enable_monitoring is 1, not true or false"),
    ([api.SetIntelRdt("a/b")], "config.json: linux.intelRdt.closID"),
    ([api.AddDevice("/dev/x", "z", 1, 1)], "config.json: linux.resources.devices[1].type"),
    ([api.AddGroup(-1)], "config.json: process.user.additionalGids[0]"),
]


@pytest.mark.parametrize(("edits", "line"), WRONG, ids=[line for _, line in WRONG])
def test_what_an_edit_makes_wrong_is_refused_in_the_plugins_name(edits: Any, line: str) -> None:
    with pytest.raises(CorelaunchError) as caught:
        adjusted(config(), audit=edits)
    assert line in str(caught.value)
    assert "'audit'" in str(caught.value)


@pytest.mark.parametrize("answer", ["text", {"a": 1}, [api.MakeFile("/x")], [None], 3])
def test_what_is_no_edit_is_refused_in_the_plugins_name(answer: Any) -> None:
    with pytest.raises(PluginError, match=r"lifecycle plugin 'audit' failed.*none of its edits"):
        adjusted(config(), audit=answer)


def test_a_plugin_that_changes_what_it_was_given_is_refused() -> None:
    def change(config: Any, **_: Any) -> None:
        config["process"]["env"].append("X=1")

    registry: Any = Registered(audit={"corelaunch_adjust_config": change})
    content = {**config(), "root": {"path": "/usr"}}
    with pytest.raises(PluginError, match="it changed the config that it was given"):
        adjust_config(registry, [("audit", "")], "demo", Bundle("/", content))


def test_the_journal_gives_exec_the_same_config() -> None:
    content = {**config(), "root": {"path": "/usr"}}
    result = adjusted(content, audit=[edit for edit, _, _ in EXAMPLES.values()])
    records = json.loads(json.dumps([owned.json() for owned in result.edits]))
    assert replayed(content, records) == result.config


class TestPlanEdits:
    def adjust(self, *edits: Any) -> Any:
        registry: Any = Registered(audit={"corelaunch_adjust_plan": lambda **_: list(edits)})
        content = config()
        plan = init_plan(content, "/rootfs", cgroup_paths={}, terminal=False)
        return plan, adjust_plan(registry, [("audit", "corelaunch-audit 1")], "demo", "/bundle", content, plan)

    def test_what_is_made_stands_before_the_hooks_point(self) -> None:
        before, (plan, edits) = self.adjust(
            api.MakeDirectory("/a", 0o700), api.MakeFile("/b"), api.MakeSymlink("/c", "d")
        )
        names = [operation.name for operation in plan.operations]
        place = names.index("HOOKS_POINT")
        assert names[place - 3 : place] == ["DIRECTORY", "FILE", "SYMLINK"]
        assert len(plan.operations) == len(before.operations) + 3
        assert [owned.json()["edit"] for owned in edits] == ["MakeDirectory", "MakeFile", "MakeSymlink"]
        plan.encode()

    def test_the_first_of_several_plugins_sees_what_the_last_one_edited_and_where_the_bundle_is(self) -> None:
        seen: dict[str, Any] = {}
        hooks = {"corelaunch_adjust_plan": lambda **given: seen.update(given)}
        content = config()
        plan = init_plan(content, "/rootfs", cgroup_paths={}, terminal=False)
        registry: Any = Registered(first=hooks, last={})
        adjust_plan(registry, [("first", ""), ("last", "")], "demo", "/bundle", content, plan)
        assert (seen["bundle"], seen["container_id"], seen["config"]) == ("/bundle", "demo", content)

    @pytest.mark.parametrize(
        ("edit", "why"),
        [
            (api.MakeFile("relative"), "not an absolute path"),
            (api.MakeFile("/a/../../b"), "without .."),
            (api.MakeFile("/"), "below /"),
            (api.MakeDirectory("/a", 0o10000), "not in the range"),
            (api.MakeSymlink("/a", ""), "cannot be linked to"),
            (api.SetEnv("A", "b"), "none of its edits"),
        ],
    )
    def test_what_the_init_could_not_make_is_refused_in_the_plugins_name(self, edit: Any, why: str) -> None:
        with pytest.raises(CorelaunchError, match=f"'audit'.*{why}"):
            self.adjust(edit)


def test_a_process_that_leaves_its_limits_to_the_container_keeps_all_of_them() -> None:
    edits = [as_json(api.SetRlimit("RLIMIT_NOFILE", 5, 6)), as_json(api.SetAnnotation("a", "b"))]
    process = {"args": ["true"], "cwd": "/"}
    assert replayed_process(process, edits) == process
    core = {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}
    limits = replayed_process({**process, "rlimits": [core]}, edits)["rlimits"]
    assert limits == [core, {"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}]
