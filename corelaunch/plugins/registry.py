"""The plugins that are installed, and the one that was chosen by name: loaded once, alone, and directly.

In the command line hooks are called without pluggy, whose import costs as much as a launch. ``manager.py`` is the way
through pluggy; a test holds both to the same answer.
"""

from __future__ import annotations

from _thread import allocate_lock

from ..api import API_VERSION, HOOKIMPL_ATTRIBUTE, CgroupManager, NetworkStrategy, RdtManager
from ..errors import CorelaunchError, PluginError
from ..hookspecs import DEPRECATED, FACTORIES
from .discovery import EntryPoint, check_code, check_trusted, find, find_made_by, plugin_directories
from .guard import Guard, Guarded, no_log, unguarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

#: Which distribution usually provides a name, for the error when it is not installed.
USUAL = {
    ("cgroup_manager", "cgroupfs"): "corelaunch-cgroupfs",
    ("cgroup_manager", "systemd"): "corelaunch-systemd",
    ("rdt_manager", "resctrl"): "corelaunch-resctrl",
    **{
        ("network_strategy", name): "corelaunch-netstrategies"
        for name in ("loopback", "veth", "bridge", "macvlan", "ipvlan", "host-device", "cni", "slirp4netns", "pasta")
    },
}

#: Kind of backend -> its interface, the methods that each must have, and those that a feature brings.
INTERFACES: Mapping[str, type] = {
    "cgroup_manager": CgroupManager,
    "rdt_manager": RdtManager,
    "network_strategy": NetworkStrategy,
}
REQUIRED = {
    "cgroup_manager": ("place", "create", "add_process", "processes", "destroy"),
    "rdt_manager": ("place", "create", "add_process", "destroy"),
    "network_strategy": ("place", "create", "initialize", "destroy"),
}
METHODS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "cgroup_manager": {
        "limits": ("set_resources",),
        "update": ("update_resources",),
        "freeze": ("freeze", "thaw", "frozen"),
        "stats": ("stats",),
        "oom": ("oom_kill_count",),
        "oom-events": ("open_oom_events",),
        "kill": ("kill",),
        "self-join": ("open_join_files",),
        "adopt": ("adopt",),
    },
    "rdt_manager": {"schemata": ("set",), "stats": ("stats",)},
    "network_strategy": {
        "stats": ("stats",),
        "attach": ("attach", "detach"),
        "check": ("check",),
        "gc": ("collect",),
    },
}


class Registry:
    """Entry points of the directories of ``sys.path``, and what was loaded from them. Safe for several threads.

    Args:
        directories: where to look; None is ``sys.path``.
        guard: what every call into a plugin goes through; None: backends are handed out as they are.
        pluggy: lifecycle plugins are called through pluggy, whatever they implement.
    """

    def __init__(
        self, directories: Sequence[str] | None = None, *, guard: Guard | None = None, pluggy: bool = False
    ) -> None:
        self._directories = directories
        self.guard = guard or Guard(no_log)
        self._guards_backends = guard is not None
        self.pluggy = pluggy
        self._entries: list[EntryPoint] | None = None
        self._modules: dict[tuple[str, str], Any] = {}
        self._backends: dict[tuple[str, str], Any] = {}
        self._failures: dict[tuple[str, str], PluginError] = {}
        self._lifecycle: dict[str, Mapping[str, Callable[..., Any]]] = {}
        self._lock = allocate_lock()

    def entries(self, kind: str = "") -> list[EntryPoint]:
        """Every installed plugin, or those of one kind; nothing is imported."""
        if self._entries is None:
            self._entries = find(self.places())
        return [entry for entry in self._entries if not kind or entry.kind == kind]

    def names(self, kind: str) -> list[str]:
        """Names that can be chosen, sorted."""
        return sorted({entry.name for entry in self.entries(kind)})

    def distribution(self, kind: str, name: str) -> str:
        """Distribution and version of an installed plugin."""
        return self._entry(kind, name, "").label

    def load(self, kind: str, name: str, *, made_by: str = "") -> Any:
        """The backend of this kind and name.

        Args:
            made_by: distribution and version that a journal names, for the error if it is gone.

        Raises:
            PluginError: not installed, installed twice, broken, or of another API version. A failure is remembered.
        """
        key = (kind, name)
        with self._lock:
            if key not in self._backends:
                plugin = self._plugin(kind, name, made_by)
                backend = self._remember(key, lambda: self._backend(kind, name, plugin))
                owner = f"{kind}:{name}"
                self._backends[key] = Guarded(self.guard, owner, backend) if self._guards_backends else backend
            return self._backends[key]

    def lifecycle(self, name: str, *, made_by: str = "") -> Mapping[str, Callable[..., Any]]:
        """The hooks of a lifecycle plugin: name -> function that takes their arguments as keywords.

        Raises:
            PluginError: as :meth:`load`, or it has a hook that does not exist or takes other arguments.
        """
        if name not in self._lifecycle:
            from .lifecycle_hooks import load_hooks

            self._lifecycle[name] = load_hooks(self, name, made_by)
            label = self.distribution("lifecycle", name)
            if made_by not in ("", label):
                text = f"lifecycle plugin {name!r} is {label}, the container was made with {made_by}"
                self.guard.log("warning", text)
        return self._lifecycle[name]

    def plugin(self, kind: str, name: str, *, made_by: str = "") -> Any:
        """The plugin itself (the module or object of its entry point), checked but not called."""
        with self._lock:
            return self._plugin(kind, name, made_by)

    def broken(self) -> dict[tuple[str, str], PluginError]:
        """What was asked for and could not be loaded: (kind, name) -> why."""
        return dict(self._failures)

    def _plugin(self, kind: str, name: str, made_by: str) -> Any:
        key = (kind, name)
        if key not in self._modules:
            entry = self._entry(kind, name, made_by)
            owner = f"{words_of(kind)} {name!r}"
            self._modules[key] = self._remember(key, lambda: self.guard(owner, "import", _import, entry))
        return self._modules[key]

    def _remember(self, key: tuple[str, str], load: Callable[[], Any]) -> Any:
        if key in self._failures:
            raise self._failures[key]
        try:
            return load()
        except PluginError as error:
            self._failures[key] = error
            raise

    def places(self) -> Sequence[str]:
        """The directories that are looked at."""
        return self._directories if self._directories is not None else plugin_directories()

    def _entry(self, kind: str, name: str, made_by: str) -> EntryPoint:
        if made_by and self._entries is None:
            found = find_made_by(self.places(), kind, name, made_by)
            if found is not None:
                return found
        entries = [entry for entry in self.entries(kind) if entry.name == name]
        if len(entries) > 1:
            from .advice import between

            both = " and ".join(entry.label for entry in entries)
            raise PluginError(
                f"two plugins are called {name!r}", where=words_of(kind), why=both, hint=between(entries)
            )
        if not entries:
            package = made_by or USUAL.get((kind, name), "")
            installed = ", ".join(self.names(kind)) or "none"
            raise PluginError(
                f"no {words_of(kind)} called {name!r} is installed",
                why=f"installed: {installed}",
                hint=f"pip install {_requirement(package)}" if package else "see corelaunch plugins",
            )
        return entries[0]

    def _backend(self, kind: str, name: str, plugin: Any) -> Any:
        factory = find_hook(plugin, FACTORIES[kind])
        if factory is None:
            from .advice import without_factory

            raise without_factory(kind, name, plugin)
        if FACTORIES[kind] in DEPRECATED:
            from ..deprecation import implement

            implement(factory, FACTORIES[kind], *DEPRECATED[FACTORIES[kind]])
        try:
            backend = self.guard(f"{kind}:{name}", FACTORIES[kind], factory)
        except Exception as error:
            raise PluginError(
                f"plugin {name!r} is broken", where=FACTORIES[kind], why=f"{type(error).__name__}: {error}"
            ) from error
        if isinstance(backend, type) or any(lacks(kind, backend, method) for method in REQUIRED[kind]):
            from .advice import not_a_backend

            raise not_a_backend(kind, name, backend)
        return backend


def lacks(kind: str, backend: Any, method: str) -> bool:
    """Whether a backend has a method neither by its class nor by what it hands everything else on to."""
    found = getattr(backend, method, None)
    return found is None or getattr(found, "__func__", None) is getattr(INTERFACES[kind], method)


def check_claims(kind: str, name: str, backend: Any) -> None:
    """Refuse a backend that claims a feature and has not its methods.

    Raises:
        PluginError: see above.
    """
    features, itself = backend.features, unguarded(backend)
    for feature, methods in METHODS[kind].items():
        if feature in features:
            for method in methods:
                if lacks(kind, itself, method):
                    from .advice import claims_in_vain

                    raise claims_in_vain(name, itself, feature, method)


def find_hook(plugin: Any, hook: str) -> Any:
    """The implementation of a hook in a plugin, by its own name or by ``specname``; None if there is none."""
    for attribute in dir(plugin):
        candidate = getattr(plugin, attribute, None)
        options = getattr(candidate, HOOKIMPL_ATTRIBUTE, None)
        if isinstance(options, dict) and (options.get("specname") or attribute) == hook:
            return candidate
    return None


def check_api(plugin: Any, label: str) -> None:
    """Refuse a plugin that was written for another API.

    Raises:
        PluginError: ``corelaunch_api`` is missing or another number.
    """
    version = getattr(plugin, "corelaunch_api", None)
    if type(version) is not int or version != API_VERSION:
        from .advice import of_another_api

        raise of_another_api(plugin, label, version)


def _import(entry: EntryPoint) -> Any:
    module_name, _, attribute = entry.value.partition(":")
    try:
        check_code(entry, module_name)
        plugin: Any = __import__(module_name, fromlist=["*"])
        check_trusted(plugin.__file__)  # an editable install has its code elsewhere
        for part in attribute.split(".") if attribute else ():
            plugin = getattr(plugin, part)
    except CorelaunchError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # Also SystemExit: a plugin that cannot be imported must not end a verb that does not need it.
        from .advice import after_import

        raise PluginError(
            f"plugin {entry.name!r} is broken",
            where=entry.label,
            why=f"{type(error).__name__}: {error}",
            hint=after_import(entry, error),
        ) from error
    check_api(plugin, entry.label)
    return plugin


def words_of(kind: str) -> str:
    """A kind of plugin as people call it."""
    return "lifecycle plugin" if kind == "lifecycle" else kind.replace("_", " ").replace("rdt", "RDT")


def _requirement(label: str) -> str:
    name, _, version = label.partition(" ")
    return f"{name}=={version}" if version else name
