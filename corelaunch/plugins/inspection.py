"""Every installed plugin, for ``corelaunch plugins`` and ``doctor``: what it claims, and what is wrong with it.

This is the one place that imports plugins which nobody chose.
"""

from __future__ import annotations

import sys
import time

from ..errors import CorelaunchError, PluginError
from ..hookspecs import FACTORIES, GROUPS
from ..records import Record
from .discovery import EntryPoint
from .registry import check_claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .registry import Registry

#: Works, may be used; works, and every launch that chose it waits for its import; works, and uses names of the API that
#: are on their way out; works, and has a word of which nobody takes notice, most likely misspelt; cannot be used.
OK, SLOW, DEPRECATED, DOUBTFUL, BROKEN = "ok", "slow", "deprecated", "doubtful", "broken"

#: A launch takes 20 ms in all. Ten times that is slow on any machine, and no more than bad luck on a busy one.
SLOW_MILLISECONDS = 200


class Found(Record):
    """One installed plugin."""

    #: Kind of plugin; of one whose entry-point group does not exist, the group.
    kind: str
    name: str
    distribution: str
    version: str
    #: The API that it was written for, None if it does not say or cannot be imported.
    api: int | None
    features: Sequence[str]
    #: OK, SLOW, DEPRECATED, DOUBTFUL or BROKEN.
    health: str
    #: What is wrong with it, and what to do; "" if nothing is.
    reason: str
    hint: str
    #: How long its import took; 0.0 for what was imported before.
    import_ms: float
    #: Directory of the distribution's metadata.
    path: str


def look(registry: Registry) -> list[Found]:
    """Every installed plugin, by kind and name; a broken one is no failure."""
    found = [_look_at(registry, entry) for entry in registry.entries()]
    return sorted([*found, *_misnamed(registry)], key=lambda one: (one.kind, one.name, one.distribution))


def _look_at(registry: Registry, entry: EntryPoint) -> Found:
    before = time.monotonic()
    took = 0.0
    features: list[str] = []
    error: CorelaunchError | None = None
    try:
        registry.plugin(entry.kind, entry.name)
        took = (time.monotonic() - before) * 1000
        features = _claims(registry, entry)
    except CorelaunchError as caught:
        error = caught
    health, reason, hint = _health(entry, error, took)
    if health == OK:
        from .misspelt import unknown_word

        reason, hint = unknown_word(registry, entry, features)
        health = DOUBTFUL if reason else OK
    label = (entry.distribution, entry.version)
    api = _api_of(entry)
    return Found(entry.kind, entry.name, *label, api, features, health, reason, hint, round(took, 1), entry.path)


def _claims(registry: Registry, entry: EntryPoint) -> list[str]:
    if entry.kind not in FACTORIES:
        return sorted(registry.lifecycle(entry.name))
    backend = registry.load(entry.kind, entry.name)
    features: Any = getattr(backend, "features", None)
    if not isinstance(features, (set, frozenset)) or not all(isinstance(feature, str) for feature in features):
        why = f"its features are {features!r}, which is no set of words"
        hint = 'write features = frozenset({"…"}) in the class of the backend'
        raise PluginError(f"plugin {entry.name!r} is broken", where=entry.label, why=why, hint=hint)
    check_claims(entry.kind, entry.name, backend)
    return sorted(features)


def _health(entry: EntryPoint, error: CorelaunchError | None, took: float) -> tuple[str, str, str]:
    if error is not None:
        return BROKEN, error.line(), error.hint or f"pip uninstall {entry.distribution}, or another version of it"
    module = entry.value.partition(":")[0]
    deprecation = sys.modules.get("corelaunch.deprecation")
    uses: list[str] = deprecation.uses_of(module.partition(".")[0]) if deprecation else []
    if uses:
        return DEPRECATED, "; ".join(uses), f"install a newer version of {entry.distribution}, if there is one"
    if took > SLOW_MILLISECONDS:
        hint = f"python3 -X importtime -c 'import {module}' shows what takes it; import that where it is used"
        return SLOW, f"its import took {took:.0f} ms, which every launch that chooses it waits for", hint
    return OK, "", ""


def _api_of(entry: EntryPoint) -> int | None:
    name, _, attribute = entry.value.partition(":")
    plugin: Any = sys.modules.get(name)
    for part in attribute.split(".") if attribute else ():
        plugin = getattr(plugin, part, None)
    version = getattr(plugin, "corelaunch_api", None)
    return version if isinstance(version, int) else None


def _misnamed(registry: Registry) -> list[Found]:
    """Entry points in a group that looks like ours and is none: discovery passes them over, and nobody would know."""
    from importlib.metadata import distributions

    from ..spelling import nearest

    found = []
    for distribution in distributions(path=list(registry.places())):
        for entry in distribution.entry_points:
            if entry.group.startswith("corelaunch.") and entry.group not in GROUPS.values():
                close = nearest(entry.group, GROUPS.values())
                hint = f'write [project.entry-points."{close or next(iter(GROUPS.values()))}"]'
                why = f"{entry.group} is no entry-point group of corelaunch"
                label = (distribution.name or "?", distribution.version or "?")
                place = str(distribution.locate_file(""))
                found.append(Found(entry.group, entry.name, *label, None, (), BROKEN, why, hint, 0.0, place))
    return found
