"""Each check sees what it is to see, and a file that is not understood allows nothing."""

import os
from pathlib import Path

import pytest
from corelaunch_policy import plugin as policy

from corelaunch.api import ConfigError, CorelaunchError, Moment
from corelaunch.hookspecs import MOMENTS
from corelaunch.testing.bundles import config as default_config


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """Writes the rules."""
    path = tmp_path / "policy.toml"
    monkeypatch.setattr(policy, "RULES", str(path))
    return path.write_text


@pytest.fixture
def refused(rules, tmp_path):
    """What a check finds in the usual config with these changes, "" for nothing."""

    def check(words, change=None, container_id="demo"):
        rules(f'[[rule]]\nname = "it"\n{words}\n')
        config = default_config("true")
        if change is not None:
            change(config)
        try:
            assert policy.corelaunch_adjust_plan(config, container_id, str(tmp_path)) == []
        except ConfigError as error:
            return error.why.removeprefix("it: ")
        return ""

    return check


def to(path, value):
    """A change of a config: ``to("linux.resources.memory.limit", 5)``."""

    def change(config):
        *places, last = path.split(".")
        for place in places:
            config = config[int(place)] if place.isdigit() else config.setdefault(place, {})
        config[last] = value

    return change


def bind(source, *options):
    return lambda config: config["mounts"].append(
        {"destination": "/x", "type": "none", "source": source, "options": ["bind", *options]}
    )


CAPS = 'check = "capabilities"\nallow = ["CAP_KILL", "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"]'
WRITABLE = "mounts[7].options: /usr is for reading only: write bind and ro, or rbind and rro"
OWN = 'check = "namespaces"\nown = ["network", "pid"]\njoined = ["/proc"]'
MOST = 'check = "limits"\nmost = { "memory.limit" = 1000, "pids.limit" = 10 }'


def limits(**resources):
    both = {"memory": {"limit": 1000}, "pids": {"limit": 10}}
    return to("linux.resources", both | resources)


@pytest.mark.parametrize(
    ("words", "change", "found"),
    [
        (CAPS, None, ""),
        (CAPS, to("process.capabilities", None), ""),
        (
            CAPS,
            to("process.capabilities.inheritable", ["CAP_KILL", "CAP_SYS_ADMIN"]),
            "process.capabilities.inheritable: CAP_SYS_ADMIN",
        ),
        ('check = "no-new-privileges"', to("process.noNewPrivileges", True), ""),
        ('check = "no-new-privileges"', to("process", {"args": ["true"]}), "process.noNewPrivileges: it is not true"),
        ('check = "users"\nuids = [0]', to("process.user", None), ""),
        ('check = "users"\nuids = ["1000-1999"]', to("process.user.uid", 1999), ""),
        ('check = "users"\nuids = ["1000-1999"]', to("process.user.uid", 2000), "process.user.uid: 2000"),
        (
            'check = "users"\nuids = [0]\ngids = [0, 5]',
            to("process.user", {"uid": 0, "gid": 5, "additionalGids": [0, 6]}),
            "process.user.additionalGids[1]: 6",
        ),
        (OWN, None, ""),
        (OWN, to("linux.namespaces", None), "linux.namespaces: shared with the host: network, pid"),
        (
            OWN,
            to("linux.namespaces", [{"type": "pid"}, {"type": "network", "path": "/proc/self/ns/net"}]),
            "linux.namespaces[1].path: /proc/self/ns/net is the host's network namespace",
        ),
        (
            OWN,
            to("linux.namespaces", [{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}]),
            "linux.namespaces[1].path: network namespaces are not joined from /run/netns/x",
        ),
        (
            OWN,
            to("linux.namespaces", [{"type": "pid"}, {"type": "network", "path": "/proc/cl-none"}]),
            "linux.namespaces[1].path: cannot look at /proc/cl-none: no such file or directory",
        ),
        ('check = "root"', to("root.readonly", True), ""),
        ('check = "root"', to("root", {"path": "rootfs"}), "root.readonly: it is not true"),
        ('check = "root"\nreadonly = false\nbelow = ["/srv"]', to("root.path", "/"), "root.path: /"),
        ('check = "root"\nreadonly = false\nbelow = ["/srv"]', to("root.path", "/srv/a/../../etc"), "root.path: /etc"),
        (
            'check = "root"\nreadonly = false',
            lambda config: config["mounts"].append({"destination": "/..//"}),
            "mounts[7].destination: it covers the root",
        ),
        ('check = "mounts"', None, ""),
        ('check = "mounts"\nsources = ["/usr"]', bind("/usr/share"), ""),
        ('check = "mounts"\nsources = ["/usr"]', bind("/usr/../etc"), "mounts[7].source: /etc"),
        ('check = "mounts"\nsources = ["/us"]', bind("/usr"), "mounts[7].source: /usr"),
        ('check = "mounts"\nsources = ["/"]', bind("/etc"), ""),
        ('check = "mounts"\nread_only = ["/usr"]', bind("/usr", "ro"), ""),
        ('check = "mounts"\nread_only = ["/usr"]', bind("/usr", "rbind", "rro"), ""),
        ('check = "mounts"\nread_only = ["/usr"]', bind("/usr", "ro", "rrw"), WRITABLE),
        ('check = "mounts"\nread_only = ["/usr"]', bind("/usr", "rbind", "rro", "rrw"), WRITABLE),
        ('check = "mounts"\nread_only = ["/usr"]', bind("/usr", "rbind", "rrw", "rro"), ""),
        (
            'check = "mounts"\nread_only = ["/usr"]',
            bind("/usr", "rbind", "ro"),
            WRITABLE,
        ),
        (
            'check = "mounts"\nread_only = ["/usr"]',
            bind("/usr", "ro", "rw"),
            WRITABLE,
        ),
        (
            'check = "mounts"',
            lambda config: config["mounts"].append({"destination": "/x", "type": "overlay"}),
            "mounts[7].type: overlay",
        ),
        ('check = "devices"', None, ""),
        (
            'check = "devices"',
            to("linux.resources.devices", [{"allow": False, "access": "rwm"}, {"allow": True, "access": "m"}]),
            "",
        ),
        (
            'check = "devices"',
            to("linux.resources.devices", [{"allow": True, "access": "rwm"}]),
            "linux.resources.devices[0]: allows a *:*",
        ),
        (
            'check = "devices"\nallow = ["c 10:*"]',
            to("linux.devices", [{"type": "u", "major": 10, "minor": 1}, {"type": "b", "major": 10, "minor": 1}]),
            "linux.devices[1]: b 10:1",
        ),
        (MOST, limits(), ""),
        (MOST, limits(pids={"limit": 11}), "linux.resources.pids.limit: it is 11, and may be 10 at most"),
        (MOST, limits(pids={"limit": -1}), "linux.resources.pids.limit: it is -1, and may be 10 at most"),
        (MOST, limits(memory={"limit": 0}), "linux.resources.memory.limit: it is 0, and may be 1000 at most"),
        (MOST, limits(memory=None), "linux.resources.memory.limit: it is not set, and may be 1000 at most"),
        (MOST, limits(memory=None, unified={"memory.max": "999"}), ""),
        (MOST, limits(pids={"limit": 0}), "linux.resources.pids.limit: it is 0, and may be 10 at most"),
        (
            MOST,
            limits(unified={"memory.max": "²"}),
            "linux.resources.unified[memory.max]: it is ², and may be 1000 at most",
        ),
        (
            MOST,
            limits(unified={"memory.max": "max"}),
            "linux.resources.unified[memory.max]: it is max, and may be 1000 at most",
        ),
        ('check = "annotations"\nallow = ["org.*"]', to("annotations", {"org.a": "1"}), ""),
        (
            'check = "annotations"\nallow = ["org.*"]',
            to("annotations", {"org.a": "1", "com.b": "2"}),
            "annotations[com.b]: it is not among those that may be set",
        ),
        ('check = "hooks"', to("hooks", {"prestart": None, "poststop": []}), ""),
        (
            'check = "hooks"\nallow = ["/a"]',
            to("hooks.prestart", [{"path": "/a"}, {"path": "/b"}]),
            "hooks.prestart[1]: /b",
        ),
    ],
)
def test_a_check_finds_what_it_forbids_and_nothing_else(refused, words, change, found):
    assert refused(words, change) == found


def test_the_rules_of_the_readme_are_understood(rules):
    blocks = (Path(__file__).parents[1] / "README.md").read_text().split("```toml\n")[1:]
    rules(blocks[1].partition("```")[0])
    [check] = policy.corelaunch_doctor()
    assert (check.status, check.text.count(",")) == ("ok", 9)


def test_a_source_is_where_its_links_lead(refused, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/out").symlink_to("/etc")
    (tmp_path / "link").symlink_to("data")
    words = f'check = "mounts"\nsources = ["{tmp_path}/link"]'
    assert refused(words, bind(f"{tmp_path}/data/sub")) == ""
    assert refused(words, bind("link/sub")) == "", "relative to the bundle"
    assert refused(words, bind("data/out")) == "mounts[7].source: /etc"


def test_all_rules_that_are_broken_are_told_at_once_with_their_reasons(rules, tmp_path):
    rules("""
        [[rule]]
        name = "no-hooks"
        check = "hooks"
        reason = "hooks are root's"
        [[rule]]
        name = "unprivileged"
        check = "users"
        uids = [1000]
    """)
    config = {**default_config("true"), "hooks": {"prestart": [{"path": "/bin/sh"}], "poststop": [{"path": "/x"}]}}
    with pytest.raises(ConfigError) as caught:
        policy.corelaunch_adjust_plan(config, "demo", str(tmp_path))
    assert str(caught.value) == (
        f"not allowed here, by 2 rules: {tmp_path}/policy.toml: "
        "no-hooks (hooks are root's): hooks.prestart[0]: /bin/sh; hooks.poststop[0]: /x | "
        "unprivileged: process.user.uid: 0"
    )


@pytest.mark.parametrize(
    ("words", "container_id", "excused"),
    [
        ('except.ids = ["ci-*"]', "ci-7", True),
        ('except.ids = ["ci-*"]', "my-ci-7", False),
        ('except.annotations = { "org.a" = "y*" }', "demo", True),
        ('except.annotations = { "org.a" = "n*" }', "demo", False),
        ('except.annotations = { "org.b" = "*" }', "demo", False),
    ],
)
def test_exceptions_are_by_id_or_annotation(refused, words, container_id, excused):
    found = refused(f'check = "users"\nuids = [1]\n{words}', to("annotations", {"org.a": "yes"}), container_id)
    assert (found == "") == excused


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "there is no rule in it (write [[rule]])"),
        ("rule = 3", "there is no rule in it"),
        ("[[rule]", "invalid rules: "),
        ("[[rulez]]", "rulez: unknown key (did you mean rule?)"),
        ('[[rule]]\ncheck = "hooks"', "rule 1: it has no name"),
        ('[[rule]]\nname = "a"', "rule 'a': there is no check None (there are capabilities, "),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\nalow = []', "rule 'a': alow: unknown key (did you mean allow?)"),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\nallow = "/a"', "rule 'a': allow: it is not a list of absolute paths"),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\nreason = 3', "rule 'a': reason: it is not a text"),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\nexcept = ["x"]', "rule 'a': except: it is not a table"),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\nexcept.id = []', "except: id: unknown key (did you mean ids?)"),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\nexcept.annotations = { a = 1 }', "it is not a table of patterns"),
        ('[[rule]]\nname = "a"\ncheck = "users"', "rule 'a': uids: it is not there: give a list of numbers"),
        ('[[rule]]\nname = "a"\ncheck = "users"\nuids = ["x"]', "rule 'a': uids: it is not a list of numbers"),
        ('[[rule]]\nname = "a"\ncheck = "limits"\nmost = { "cpu.quota" = 1 }', "it is not a table of memory.limit"),
        ('[[rule]]\nname = "a"\ncheck = "limits"\nmost = 3', "it is not a table of memory.limit"),
        ('[[rule]]\nname = "a"\ncheck = "namespaces"\nown = ["net"]', "it is not a list of cgroup, ipc"),
        ('[[rule]]\nname = "a"\ncheck = "devices"\nallow = ["c 10"]', "it is not a list of texts like"),
        ('[[rule]]\nname = "a"\ncheck = "hooks"\n' * 2, "two rules are called 'a'"),
    ],
)
def test_rules_that_are_not_understood_refuse_with_one_line(rules, tmp_path, text, line):
    rules(text)
    with pytest.raises(CorelaunchError) as caught:
        policy.corelaunch_adjust_plan(default_config("true"), "demo", str(tmp_path))
    assert line in str(caught.value) and f"{tmp_path}/policy.toml" in str(caught.value)
    assert policy.corelaunch_doctor()[0].status == "fail"


@pytest.mark.parametrize("spoil", ["missing", "directory", "writable", "fifo"])
def test_rules_that_cannot_be_trusted_or_read_refuse(rules, tmp_path, spoil):
    path = tmp_path / "policy.toml"
    if spoil == "directory":
        path.mkdir()
    elif spoil == "fifo":
        os.mkfifo(path, 0o600)
    elif spoil == "writable":
        rules('[[rule]]\nname = "a"\ncheck = "hooks"')
        path.chmod(0o666)
    for ask in (
        lambda: policy.corelaunch_adjust_plan(default_config("true"), "demo", str(tmp_path)),
        lambda: policy.corelaunch_moment(Moment("executing", "demo", "/b", "", "running", process={"args": ["x"]})),
    ):
        with pytest.raises(CorelaunchError, match=str(path)):
            ask()
    for name in MOMENTS:
        if name != "executing":
            policy.corelaunch_moment(Moment(name, "demo", "/b", "", MOMENTS[name]))


def test_a_process_of_exec_is_held_to_the_rules_about_processes_alone(rules):
    rules("""
        [[rule]]
        name = "namespaces"
        check = "namespaces"
        [[rule]]
        name = "caps"
        check = "capabilities"
        allow = ["CAP_KILL"]
        except.annotations = { "org.a" = "yes" }
    """)
    process = {"args": ["x"], "capabilities": {"effective": ["CAP_KILL", "CAP_SYS_ADMIN"]}}
    moment = Moment("executing", "demo", "/b", "", "running", process=process)
    with pytest.raises(ConfigError, match=r"here: \S+: caps: process.capabilities.effective: CAP_SYS_ADMIN$"):
        policy.corelaunch_moment(moment)
    policy.corelaunch_moment(moment.replace(annotations={"org.a": "yes"}))
    policy.corelaunch_moment(moment.replace(process={"args": ["x"]}))
