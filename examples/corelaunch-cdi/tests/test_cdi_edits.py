"""What a spec says becomes edits, what it must not say breaks it, and who asks in vain is told what there is."""

import json
import os
from pathlib import Path

import pytest
from corelaunch_cdi import plugin as cdi

from corelaunch import api
from corelaunch.testing.bundles import config as default_config

ENV = {"env": ["A=1"]}


def ask(*names, **more):
    config = {**default_config("true"), **more, "annotations": {"other": "x", "cdi.k8s.io/me": ",".join(names)}}
    return cdi.corelaunch_adjust_config(config)


def gpu(*names, **more):
    return ask(*(f"vendor.com/gpu={name}" for name in names), **more)


def test_who_asks_for_nothing_gets_nothing_and_no_spec_is_read(monkeypatch):
    monkeypatch.setattr(cdi, "DIRECTORIES", None)
    assert cdi.corelaunch_adjust_config(default_config("true")) == []


def test_each_kind_of_edit_is_made(vendor):
    vendor(
        {
            "0": {
                "env": ["A=1", "B=x=y"],
                "deviceNodes": [
                    {"path": "/dev/v0", "hostPath": "/dev/null"},
                    {"path": "/dev/v1", "type": "b", "major": 7, "fileMode": 416, "permissions": "r", "gid": 6},
                    {"path": "/dev/v2", "type": "u", "major": 7, "permissions": "none", "uid": 5},
                ],
                "mounts": [
                    {"hostPath": "/usr", "containerPath": "/v/usr/below", "options": ["ro"]},
                    {"hostPath": "tmpfs", "containerPath": "/v", "type": "tmpfs", "options": ["size=1m"]},
                ],
                "hooks": [{"hookName": "poststart", "path": "/h", "args": ["h", "a"], "env": ["X="], "timeout": 3}],
                "additionalGids": [0, 44, 44],
                "intelRdt": {"closID": "gold", "schemata": ["MB:0=50"], "enableMonitoring": True},
                "netDevices": [{"hostInterfaceName": "eth9", "name": "eth0"}],
            }
        }
    )
    assert gpu("0", process={"args": ["x"], "user": {"uid": 1000, "gid": 100}}) == [
        api.SetEnv("A", "1"),
        api.SetEnv("B", "x=y"),
        api.AddDevice("/dev/v0", "c", 1, 3, 0o666, 1000, 100, "rwm"),
        api.AddDevice("/dev/v1", "b", 7, 0, 0o640, 1000, 6, "r"),
        api.AddDevice("/dev/v2", "c", 7, 0, -1, 5, 100, ""),
        api.AddMount("/v", "tmpfs", "tmpfs", ["size=1m"]),
        api.AddMount("/v/usr/below", "/usr", "bind", ["bind", "ro"]),
        api.AddHook("poststart", "/h", ["h", "a"], ["X="], 3),
        api.SetIntelRdt("gold", "", "", ["MB:0=50"], True),
        api.AddGroup(44),
        api.AddNetwork(
            "host-device", {"device": "eth9", "name": "eth0", "keep-addresses": "true", "restore": "false"}
        ),
    ]


def test_the_spec_of_the_readme_gives_what_its_annotation_asks_for(vendor):
    spec, config = (
        json.loads(block.partition("```")[0])
        for block in (Path(__file__).parents[1] / "README.md").read_text().split("```json\n")[1:]
    )
    spec["devices"][0]["containerEdits"]["deviceNodes"][0]["hostPath"] = "/dev/null"
    vendor({}, **spec)
    edits = cdi.corelaunch_adjust_config({**default_config("true"), **config})
    assert [type(edit) for edit in edits] == [api.SetEnv, api.AddDevice, api.AddMount]


def test_edits_of_the_spec_come_once_and_first_and_the_last_device_wins(vendor):
    vendor(
        {"0": {"env": ["A=0"]}, "1": {"env": ["A=1"]}},
        containerEdits={"env": ["A=x", "ALL=1"], "hooks": [{"hookName": "poststop", "path": "/h"}]},
    )
    assert gpu("0", "1", "0") == [api.SetEnv("A", "1"), api.SetEnv("ALL", "1"), api.AddHook("poststop", "/h")]


def test_binds_are_id_mapped_in_a_user_namespace(vendor):
    options = {"/v0": [], "/v1": ["rbind"], "/v2": ["ridmap"]}
    mounts = [{"hostPath": "/a", "containerPath": path, "options": some} for path, some in options.items()]
    vendor({"0": {"mounts": mounts}})
    edits = gpu("0", linux={"namespaces": [{"type": "user"}]})
    assert [edit.options for edit in edits] == [["bind", "idmap"], ["rbind", "ridmap"], ["bind", "ridmap"]]


def test_the_later_directory_wins(vendor):
    vendor({"0": ENV, "1": ENV})
    vendor({"0": {"env": ["A=2"]}}, priority=1)
    assert gpu("0") == [api.SetEnv("A", "2")]
    assert gpu("1") == [api.SetEnv("A", "1")]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["vendor.com/gpu=7"], "no such CDI device: annotations[cdi.k8s.io/me]: vendor.com/gpu=7: there are "),
        (["vendor.com/tpu=0"], "vendor.com/tpu=0: kinds that there are: vendor.com/gpu (bad.json cannot be used"),
        (["vendor.com/gpu=0", "gpu0"], "'gpu0' is no qualified name of a device (write vendor.com/class=name)"),
        ([""], "'' is no qualified name of a device"),
        (["vendor.com/gpu=twice"], "ambiguous CDI device: annotations[cdi.k8s.io/me]: vendor.com/gpu=twice is in "),
    ],
)
def test_who_asks_in_vain_is_told_what_there_is(vendor, monkeypatch, names, line):
    vendor({"0": ENV, "twice": ENV})
    vendor({"twice": ENV}, name="also.json")
    vendor({"x": ENV}, name="bad.json", devices=[])
    with pytest.raises(api.ConfigError) as caught:
        ask(*names)
    text = str(caught.value).replace(f"{cdi.DIRECTORIES[0]}/", "")
    assert line in text
    assert ("bad.json cannot be used: devices: is empty" in text) == ("there are" in text or "that there are" in text)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"cdiVersion": "0.2.0"}, "cdiVersion: '0.2.0' is none of 0.3.0, "),
        ({"kind": "vendor.com"}, "kind: is not vendor/class"),
        ({"kind": "vendor.com/gpu/x"}, "kind: is not vendor/class"),
        ({"kind": "0vendor.com/gpu"}, "kind: is not vendor/class"),
        ({"kind": "v/g.p", "cdiVersion": "0.5.0"}, "kind: needs cdiVersion 0.6.0, and it says 0.5.0"),
        ({"vendor": "x"}, "vendor: is not known"),
        ({"annotations": {"a": "b"}, "cdiVersion": "0.5.0"}, "annotations: needs cdiVersion 0.6.0"),
        ({"devices": {}}, "devices: is not a list"),
        ({"devices": [{"name": "a"}]}, "devices[0].containerEdits: is missing"),
        ({"devices": [{"name": "a", "containerEdits": {}}]}, "devices[0].containerEdits: is empty"),
        ({"devices": [{"name": "a-", "containerEdits": ENV}]}, "devices[0].name: 'a-' is not a name"),
        ({"devices": [{"name": "a", "containerEdits": ENV}] * 2}, "devices[0].name: 'a' is there twice"),
        ({"cdiVersion": "0.4.0"}, "devices[0].name: needs cdiVersion 0.5.0"),
        ({"containerEdits": {"env": ["A"]}}, "containerEdits.env[0]: 'A' is not NAME=VALUE"),
        ({"containerEdits": {"deviceNodes": [{"path": "dev"}]}}, "deviceNodes[0].path: 'dev' is not absolute"),
        ({"containerEdits": {"deviceNodes": [{"path": "/d", "type": "x"}]}}, "].type: is none of b, c, u, p"),
        ({"containerEdits": {"deviceNodes": [{"path": "/d", "permissions": "rx"}]}}, "'rx' is not of r, w, m"),
        ({"containerEdits": {"deviceNodes": [{"path": "/d", "major": -1}]}}, "major: is not a number from 0"),
        ({"containerEdits": {"mounts": [{"containerPath": "/x"}]}}, "mounts[0].hostPath: is missing"),
        ({"containerEdits": {"mounts": [{"hostPath": "", "containerPath": "/x"}]}}, "hostPath: is empty"),
        ({"containerEdits": {"mounts": [{"hostPath": "/", "containerPath": "/."}]}}, "containerPath: is the root"),
        ({"containerEdits": {"hooks": [{"hookName": "start", "path": "/h"}]}}, "hookName: is none of prestart"),
        ({"containerEdits": {"hooks": [{"hookName": "poststop", "path": "/h", "timeout": 0}]}}, "is not greater"),
        ({"containerEdits": {"intelRdt": {}}, "cdiVersion": "0.6.0"}, None),
        ({"containerEdits": {"intelRdt": {"closID": "a"}}, "cdiVersion": "0.6.0"}, "intelRdt: needs cdiVersion 0.7.0"),
        ({"containerEdits": {"intelRdt": {"schemata": ["x"]}}, "cdiVersion": "1.0.0"}, "schemata: needs"),
    ],
)
def test_a_spec_that_says_what_it_may_not_is_broken_and_says_why(vendor, more, why):
    path = vendor({"0": ENV}, **more)
    checks = cdi.corelaunch_doctor()
    found = [check.text for check in checks if check.status == "warn"]
    assert found == [] if why is None else (len(found) == 1 and why in found[0] and str(path) in found[0]), found


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_text("{"), "JSON"),
        (lambda path: path.write_text("[]"), "cdiVersion: '' is none of"),
        (lambda path: path.chmod(0o666), "others than root can write it"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "it is not a regular file"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "No such file"),
    ],
)
def test_a_file_that_is_no_spec_or_not_to_be_trusted_is_left_out(vendor, spoil, why):
    spoil(vendor({"0": ENV}, name="a.json"))
    vendor({"1": ENV}, name="b.json")
    assert gpu("1") == [api.SetEnv("A", "1")]
    with pytest.raises(api.ConfigError, match=rf"there are vendor.com/gpu=1 \(\S*a.json cannot be used: .*{why}"):
        gpu("0")


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ({"path": "/dev/cl-none"}, "CDI device node: /dev/cl-none: no such file or directory"),
        ({"path": "/dev/v", "hostPath": "/etc/passwd"}, "CDI device node: /etc/passwd: it is not a device node"),
        ({"path": "/dev/null", "type": "b"}, "CDI device node: /dev/null: it is not a device node of type b"),
    ],
)
def test_a_node_that_the_host_does_not_have_is_an_error(vendor, node, line):
    vendor({"0": {"deviceNodes": [node]}})
    with pytest.raises(api.CorelaunchError) as caught:
        gpu("0")
    assert str(caught.value) == line


def test_a_mount_that_would_hide_one_of_the_config_is_refused(vendor):
    vendor({"0": {"mounts": [{"hostPath": "/a", "containerPath": "/dev/"}]}})
    with pytest.raises(api.ConfigError, match=r"mounts\[2\]: the CDI mount at /dev/ would hide /dev/pts"):
        gpu("0")


def test_yaml_is_read_where_there_is_pyyaml(vendor):
    pytest.importorskip("yaml", reason="host lacks: PyYAML")
    path = vendor({"1": ENV}, name="a.yaml")
    device = "- name: '0'\n  containerEdits:\n    env: [A=1]\n"
    path.write_text(f"cdiVersion: 0.5.0\nkind: vendor.com/gpu\ndevices:\n{device}")
    assert gpu("0") == [api.SetEnv("A", "1")]
    path.write_text("a: [")
    assert "while parsing" in cdi.corelaunch_doctor()[1].text


def test_yaml_that_is_nested_too_deeply_is_left_out(vendor):
    pytest.importorskip("yaml", reason="host lacks: PyYAML")
    vendor({"0": ENV}, name="a.yaml").write_text("[" * 100000)
    vendor({"1": ENV}, name="b.json")
    assert gpu("1") == [api.SetEnv("A", "1")]
    with pytest.raises(api.ConfigError, match=r"a.yaml cannot be used: nested too deeply"):
        gpu("0")


def test_without_pyyaml_a_yaml_spec_says_what_to_install(vendor, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    vendor({"0": ENV}, name="a.yaml")
    with pytest.raises(api.ConfigError, match=r"YAML needs PyYAML, which is not installed: pip install"):
        gpu("0")


def test_the_command_lists_devices_and_broken_specs(vendor, capsys):
    [command] = cdi.corelaunch_commands()
    path = vendor({"0": ENV, "1": ENV})
    assert command.run([], None) == 0
    assert capsys.readouterr().out == f"vendor.com/gpu=0\t{path}\nvendor.com/gpu=1\t{path}\n"
    vendor({}, name="b.json")
    assert command.run([], None) == 1
    assert "b.json: devices: is empty" in capsys.readouterr().out
