"""Which unit a cgroupsPath means, and where systemd puts it."""

from __future__ import annotations

import pytest
from corelaunch_systemd.names import object_path, parent_of, slice_path, unit_of, unit_path

from corelaunch.api import ConfigError


@pytest.mark.parametrize(
    ("path", "slice_name", "unit", "where"),
    [
        ("", "system.slice", "corelaunch-one.scope", "/system.slice/corelaunch-one.scope"),
        ("machine.slice:libpod:abc", "machine.slice", "libpod-abc.scope", "/machine.slice/libpod-abc.scope"),
        (":docker:abc", "system.slice", "docker-abc.scope", "/system.slice/docker-abc.scope"),
        ("a.slice::abc", "a.slice", "abc.scope", "/a.slice/abc.scope"),
        ("a.slice:x:abc.scope", "a.slice", "x-abc.scope", "/a.slice/x-abc.scope"),
        ("-.slice:x:abc", "-.slice", "x-abc.scope", "/x-abc.scope"),
        ("a-b-c.slice:x:y", "a-b-c.slice", "x-y.scope", "/a.slice/a-b.slice/a-b-c.slice/x-y.scope"),
        ("::pod-web.slice", "pod.slice", "pod-web.slice", "/pod.slice/pod-web.slice"),
        ("pod.slice:cri:pod-web.slice", "pod.slice", "pod-web.slice", "/pod.slice/pod-web.slice"),
        ("-.slice::web.slice", "-.slice", "web.slice", "/web.slice"),
        (
            "kubepods-besteffort-podd1.slice:cri-containerd:0ab",
            "kubepods-besteffort-podd1.slice",
            "cri-containerd-0ab.scope",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podd1.slice/cri-containerd-0ab.scope",
        ),
    ],
)
def test_a_cgroups_path_names_a_unit_in_a_slice(path: str, slice_name: str, unit: str, where: str) -> None:
    assert unit_of(path, "one", "system.slice") == (slice_name, unit)
    assert unit_path(slice_name, unit) == where


@pytest.mark.parametrize(
    "path",
    [
        "/absolute",
        "relative/path",
        "one",
        "a:b",
        "a.slice:b:c:d",
        "nothing:b:c",
        ".slice:b:c",
        "a-.slice:b:c",
        "-a.slice:b:c",
        "a--b.slice:b:c",
        "a/b.slice:b:c",
        "a.slice:b:",
        "a.slice:b:c/d",
        "a.slice:b:..",
        "a.slice:..:c/../..",
        "a.slice::.scope",
        "a.slice::-.slice",
        "a.slice::b-c.slice",
        "a.slice:b:c d",
        "a.slice:b:" + "x" * 300,
        "a.slice:b:ü",
    ],
)
def test_another_form_is_refused_with_its_place_in_the_config(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        unit_of(path, "one", "system.slice")
    assert caught.value.where == "linux.cgroupsPath"


def test_an_id_with_a_plus_is_escaped_as_systemd_escape_does() -> None:
    assert unit_of("", "a+b", "user.slice") == ("user.slice", r"corelaunch-a\x2bb.scope")


def test_slices_nest_by_their_names() -> None:
    assert (slice_path("-.slice"), slice_path("a.slice")) == ("", "/a.slice")
    assert slice_path("a-b.slice") == "/a.slice/a-b.slice"
    assert (parent_of("a.slice"), parent_of("a-b-c.slice")) == ("-.slice", "a-b.slice")


def test_object_paths_are_escaped_as_sd_bus_does() -> None:
    assert object_path("a-b.scope") == "/org/freedesktop/systemd1/unit/a_2db_2escope"
    assert object_path("1a.slice") == "/org/freedesktop/systemd1/unit/_31a_2eslice"
