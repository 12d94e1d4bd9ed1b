"""What lifecycle plugins change of a config and a plan. Imported only when a container has such plugins.

Their edits are applied to a copy, plugin by plugin, and each time the config is checked as if it had come so from the
bundle: a plugin can ask for no more than a config can. Nothing is changed outside the copy.
"""

from __future__ import annotations

from .config_edits import CONFIG_EDITS, PROCESS_EDITS, AddNetwork, DropCapability, SetResource, SetRlimit
from .edits import PLAN_EDITS, as_json, check_types, describe, from_json
from .errors import ChildError, ConfigError, CorelaunchError, PluginError, StateError
from .kernel.native import lib
from .plan.operation import Operation
from .plugins.lifecycle_hooks import call_all
from .records import Record
from .spec.capabilities import BITS as CAPABILITIES
from .spec.check import check_config, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .config_edits import Edit
    from .plan import Plan
    from .plugins.registry import Registry
    from .spec.bundle import Bundle

    Plugins = Sequence[tuple[str, str]]


class Owned(Record):
    """An edit and the lifecycle plugin whose it is."""

    owner: str
    #: Distribution and version of the owner.
    distribution: str
    edit: Edit

    def json(self) -> dict[str, Any]:
        """As the journal holds it, and ``corelaunch plan --json`` prints it."""
        return {"owner": self.owner, "distribution": self.distribution, **as_json(self.edit)}

    def describe(self) -> str:
        """For ``corelaunch plan``."""
        return f"lifecycle:{self.owner}  {describe(self.edit)}"


class Adjusted(Record):
    """A config after its edits."""

    config: Mapping[str, Any]
    edits: Sequence[Owned]
    #: What the edits ask for in interfaces, as ``networks=[…]`` takes it.
    networks: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]


def chosen(registry: Registry, names: Iterable[str]) -> Plugins:
    """Name, and distribution with version, of the lifecycle plugins of a new container; each once, in their order.

    Raises:
        PluginError: one is not installed, broken, or installed twice.
    """
    plugins = []
    for name in dict.fromkeys(names):
        registry.lifecycle(name)
        plugins.append((name, registry.distribution("lifecycle", name)))
    return plugins


def adjust_config(registry: Registry, plugins: Plugins, container_id: str, bundle: Bundle) -> Adjusted:
    """Ask each plugin for its edits of a checked config.

    Raises:
        CorelaunchError: a plugin's veto.
        PluginError: it returned something else than edits, or changed what it was given.
        ConfigError, Unsupported: an edit cannot be applied, contradicts another one, or makes the config wrong; the
            error names the plugin.
    """
    config = copied(bundle.config)
    edits: list[Owned] = []
    warnings: list[str] = []
    for name, distribution in plugins:
        seen = copied(config)
        arguments = {"config": seen, "container_id": container_id, "bundle": bundle.path}
        own = _ask(registry, name, distribution, "corelaunch_adjust_config", CONFIG_EDITS, arguments)
        if seen != config:
            why = "it changed the config that it was given"
            raise PluginError(f"lifecycle plugin {name!r} failed", why=why, hint="return edits, see corelaunch.api")
        if own:
            _refuse_conflicts(edits, own)
            try:
                for one in own:
                    one.edit.apply(config)  # type: ignore[attr-defined]
                warnings = check_config(config, bundle.replace(config=config))
                _refuse_unknown(config, own)
            except CorelaunchError as error:
                raise _by(name, error) from error
            edits += own
    networks = [
        {"type": one.edit.type, "options": one.edit.options} for one in edits if isinstance(one.edit, AddNetwork)
    ]
    return Adjusted(config if edits else bundle.config, tuple(edits), networks, warnings)


def adjust_plan(
    registry: Registry, plugins: Plugins, container_id: str, bundle: str, config: Mapping[str, Any], plan: Plan
) -> tuple[Plan, Sequence[Owned]]:
    """Ask each plugin for its edits of a plan; the plan with them, and the edits.

    Raises:
        CorelaunchError: as :func:`adjust_config`.
    """
    edits: list[Owned] = []
    for name, distribution in plugins:
        if "corelaunch_adjust_plan" not in registry.lifecycle(name):
            continue
        arguments = {"plan": plan.json(), "config": copied(config), "container_id": container_id, "bundle": bundle}
        own = _ask(registry, name, distribution, "corelaunch_adjust_plan", PLAN_EDITS, arguments)
        _refuse_conflicts(edits, own)
        try:
            for one in own:
                one.edit.check()  # type: ignore[attr-defined]
        except CorelaunchError as error:
            raise _by(name, error) from error
        edits += own
    if not edits:
        return plan, ()
    operations = list(plan.operations)
    place = next(index for index, one in enumerate(operations) if one.code == lib.CL_OP_HOOKS_POINT)
    unique = {one.edit.key: one.edit for one in edits}
    operations[place:place] = [_operation(edit) for edit in unique.values()]
    return plan.replace(operations=tuple(operations)), edits


def replayed(config: Mapping[str, Any], edits: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A config of the bundle with the edits that a journal holds: what the container was made of.

    Raises:
        ConfigError, StateError: the bundle's config is not any more what was edited, or a later release edited it.
    """
    return _replayed(config, edits, CONFIG_EDITS)


def replayed_process(process: Mapping[str, Any], edits: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A process that is to be executed, with those edits of a journal that are about processes.

    Raises:
        ConfigError, StateError: as :func:`replayed`.
    """
    # One without limits has those of the container's own process, which are edited; see plan/setns_plan.py.
    kinds = tuple(kind for kind in PROCESS_EDITS if kind is not SetRlimit or process.get("rlimits"))
    answer: Mapping[str, Any] = _replayed({"process": process}, edits, kinds)["process"]
    return answer


def _replayed(
    config: Mapping[str, Any], edits: Iterable[Mapping[str, Any]], kinds: tuple[type[Edit], ...]
) -> Mapping[str, Any]:
    copy: dict[str, Any] = copied(config)
    for record in edits:
        fields = {name: value for name, value in record.items() if name not in ("owner", "distribution")}
        try:
            edit = from_json(fields)
        except (KeyError, TypeError):
            why = f"the edit {record.get('edit')!r} is not of this release"
            raise StateError("cannot read the journal", why=why, hint="use the release that made it") from None
        if not isinstance(edit, kinds):
            continue
        try:
            edit.apply(copy)  # type: ignore[attr-defined]
        except (ConfigError, KeyError, TypeError, AttributeError):
            # Checked when it was made, and not again: the bundle is its owner's, who may have changed it since.
            why = f"{describe(edit)} of lifecycle plugin {record.get('owner')!r} does not fit it any more"
            hint = "put back what the container was made of"
            raise ConfigError("config.json was changed", why=why, hint=hint) from None
    return copy


def blamed(
    error: CorelaunchError, edits: Sequence[Owned], *, plan: Plan | None = None, first_network: int = 0
) -> CorelaunchError:
    """The error of a launch, with the name of the plugin whose edit it is about, if it is one's.

    Args:
        plan: what the child was at when it reported the error.
        first_network: number of the first network that comes from an edit.
    """
    named: list[str | Sequence[str]] = []
    if isinstance(error, ChildError) and plan is not None and 0 <= error.operation_index < len(plan.operations):
        named = [text for text in plan.operations[error.operation_index].texts if text]
    networks = [one for one in edits if isinstance(one.edit, AddNetwork)]
    for one in edits:
        fields = one.edit.as_dict()
        if isinstance(one.edit, AddNetwork):
            place = f"networks[{first_network + networks.index(one)}]"
            hit = error.where.startswith(place) or repr(one.edit.type) in error.what
        else:
            hit = fields.get("destination", fields.get("path")) in named
        if hit:
            return _by(one.owner, error)
    return error


def copied(value: Any) -> Any:
    """A copy of a JSON value, all the way down."""
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) is list:
        return [copied(item) for item in value]
    return value


def _ask(
    registry: Registry,
    name: str,
    distribution: str,
    hook: str,
    kinds: tuple[type[Edit], ...],
    arguments: Mapping[str, Any],
) -> list[Owned]:
    results = call_all(registry, [(name, "")], hook, hook, up=True, **arguments)
    if not results:
        return []
    answer = results[0][1]
    own = []
    for edit in answer if isinstance(answer, (list, tuple)) else [answer]:
        if type(edit) not in kinds:
            why = f"{hook} returned {edit!r}, which is none of its edits"
            known = ", ".join(kind.__name__ for kind in kinds)
            raise PluginError(f"lifecycle plugin {name!r} failed", why=why, hint=f"return a list of {known}")
        try:
            check_types(edit)
        except CorelaunchError as error:
            raise _by(name, error) from error
        own.append(Owned(name, distribution, edit))
    return own


def _refuse_conflicts(before: Sequence[Owned], own: Sequence[Owned]) -> None:
    """Refuse two edits that want different things of one place; the same thing twice is no conflict."""
    wanted = {one.edit.key: one for one in before}
    for one in own:
        key = one.edit.key
        other = wanted.setdefault(key, one) if key else one
        if other.edit != one.edit:
            who = f"lifecycle plugins {other.owner!r} and {one.owner!r}"
            if other.owner == one.owner:
                who = f"lifecycle plugin {one.owner!r}"
            raise ConfigError(
                f"{who}: contradicting edits",
                where=key,
                why=f"{describe(other.edit)}; {describe(one.edit)}",
                hint="leave one of them out, or change what it is to do",
            )


def _refuse_unknown(config: Mapping[str, Any], own: Sequence[Owned]) -> None:
    """Refuse names that nobody knows: in a config they are ignored, but of an edit they are all there is."""
    keys = [one.edit.key for one in own if isinstance(one.edit, SetResource)]
    for path in find(config).unknown if keys else ():
        if any(key == path or key.startswith(f"{path}.") for key in keys):
            raise ConfigError("invalid edit", where=path, why="the runtime-spec knows no such property")
    for one in own:
        if isinstance(one.edit, DropCapability) and one.edit.name not in CAPABILITIES:
            hint = 'write it as in "CAP_NET_RAW"'
            raise ConfigError("invalid edit", where=one.edit.name, why="there is no such capability", hint=hint)


def _by(name: str, error: CorelaunchError) -> CorelaunchError:
    """The error of an edit, with the name of the plugin in front."""
    prefix = f"lifecycle plugin {name!r}: "
    if not error.what.startswith(prefix):
        error.what = prefix + error.what
    error.plugin = name
    return error


def _operation(edit: Edit) -> Operation:
    fields = edit.as_dict()
    path = fields["path"]
    kind = type(edit).__name__
    if kind == "MakeSymlink":
        return Operation(lib.CL_OP_SYMLINK, fields["target"], path)
    code = lib.CL_OP_DIRECTORY if kind == "MakeDirectory" else lib.CL_OP_FILE
    return Operation(code, path, numbers=(fields["mode"],))
