"""Records behave as frozen attrs classes do, and attrs can look into them, without attrs being imported for it."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from typing import Any

import attrs
import pytest

from corelaunch import api
from corelaunch.api import CgroupPlacement, CgroupStats, Effect, ProcessHandle
from corelaunch.records import Record


class Point(Record):
    x: int
    y: int = 5


class Point3(Point):
    z: int = 0


def test_positional_keyword_and_default_values_arrive() -> None:
    assert Point(1).as_dict() == {"x": 1, "y": 5}
    assert Point(x=1, y=2) == Point(1, 2)
    assert Point3(1, 2, 3).as_dict() == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "needs 'x'"),
        ((1, 2, 3), {}, "takes 2"),
        ((1,), {"x": 1}, "two values"),
        ((1,), {"w": 1}, "has no 'w'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(args: Any, kwargs: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        Point(*args, **kwargs)


def test_a_record_cannot_be_changed_but_replaced() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="immutable"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.nonsense = 2  # type: ignore[attr-defined]
    assert point.replace(y=9) == Point(1, 9)
    with pytest.raises(TypeError):
        point.replace(nonsense=1)


def test_records_of_different_types_are_never_equal() -> None:
    assert Point(1, 2) != Point3(1, 2)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert repr(Point(1)) == "Point(x=1, y=5)"


def test_attrs_introspection_works() -> None:
    effect = Effect(1, "cgroup", "/x")
    assert attrs.has(Effect)
    assert [field.name for field in attrs.fields(ProcessHandle)] == ["pid", "start_time", "pidfd"]
    assert attrs.asdict(CgroupPlacement({"pids": "/p"})) == {"paths": {"pids": "/p"}, "extra": {}}
    assert attrs.evolve(effect, done=True).done
    assert attrs.fields_dict(CgroupStats)["pids_limit"].default == -1


def test_the_api_imports_neither_attrs_nor_pluggy_nor_typing() -> None:
    heavy = "{'attr', 'pluggy', 'typing', 're'}"
    code = f"import sys, corelaunch.api, corelaunch.hookspecs; print(*sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path += {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == [], shown.stderr


def test_the_signature_of_a_record_is_that_of_its_constructor() -> None:
    assert str(inspect.signature(Point3)) == "(x: 'int', y: 'int' = 5, z: 'int' = 0)"
    for value in vars(api).values():
        if isinstance(value, type) and issubclass(value, Record):
            assert tuple(inspect.signature(value).parameters) == value.__record_fields__
    assert "NetworkRequest(container_id: 'str', index: 'int', type: 'str', options: " in pydoc.render_doc(
        api.NetworkRequest, renderer=pydoc.plaintext
    )
