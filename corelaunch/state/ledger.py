"""What the journal says, summed up: which placements there are, which effects are still ours, which processes."""

from __future__ import annotations

from ..api import Effect, ProcessHandle
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_CLONE_NEWPID = 0x20000000  # clone(2)


class PlacedBackend(Record):
    """A placement as it was journaled, before a backend has looked at it."""

    #: "cgroup_manager:cgroupfs", "network_strategy:veth:0"
    owner: str
    kind: str
    name: str
    #: The pip distribution and version that made it, to name in an error when it is gone.
    distribution: str
    fields: Mapping[str, Any]


class OurProcess(Record):
    """A process that the journal knows."""

    role: str
    handle: ProcessHandle
    process_group: int = 0


class Ledger:
    """The sum of a journal. ``begin`` is {} when the container was killed before its first record.

    Attributes:
        begin: the ``begin`` record.
        placements: owner -> PlacedBackend, in the order of placing.
        effects: owner -> the effects that are, or may be, there and are ours, oldest first.
        processes: every process that was recorded, oldest first.
        external_descriptors: where fds 0, 1, 2 of the init pointed, for checkpoint.
        edits: what lifecycle plugins changed of config and plan, as journaled, in order.
        owed: lifecycle plugins that were not there to be told of the container's end; None before it.
        step: the launch step at which create failed, "" if it did not.
        records: all that was taken into account, in order.
        damaged: something in the journal could not be read, so there may have been more.
        offset: how much of the journal that is, in bytes: reading goes on from there.
        status: "creating" until a ``status`` record says otherwise.
        resources, schemata: linux.resources (without device rules) and Intel RDT lines in force, as far as is known.
        frozen: ``pause`` was begun and no ``resume`` has ended since; whether it *is* frozen, the freezer knows.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.begin: Mapping[str, Any] = {}
        self.placements: dict[str, PlacedBackend] = {}
        self.processes: list[OurProcess] = []
        self.external_descriptors: tuple[str, ...] = ()
        self.edits: list[Mapping[str, Any]] = []
        self.owed: list[tuple[str, str]] | None = None
        self.step = ""
        self.status = "creating"
        self.frozen = False
        self.resources: Mapping[str, Any] = {}
        self.schemata: Mapping[str, str] = {}
        self.last_number = 0
        self.records: list[Mapping[str, Any]] = []
        self.offset = 0
        self.damaged = False
        self._effects: dict[int, tuple[str, Effect]] = {}
        self._forgotten: set[str] = set()
        for record in records:
            self.add(record)

    @property
    def untold(self) -> Sequence[tuple[str, str]]:
        """The lifecycle plugins that have still to be told of the container's end: (name, distribution)."""
        return self.lifecycle if self.owed is None else self.owed

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one record into account; an unknown kind is a later release's and is passed over."""
        self.records.append(record)
        kind = record["record"]
        if kind == "begin":
            self.begin = record
        elif kind == "place":
            placed = PlacedBackend(
                record["owner"], record["kind"], record["name"], record["distribution"], record["fields"]
            )
            self.placements[placed.owner] = placed
        elif kind == "intend":
            effect = Effect(record["number"], record["kind"], record["name"], record["args"], record["absent"])
            self._effects[effect.number] = (record["owner"], effect)
            self.last_number = max(self.last_number, effect.number)
        elif kind == "done":
            if record["number"] in self._effects:
                owner, effect = self._effects[record["number"]]
                self._effects[effect.number] = (owner, effect.replace(done=True, facts=record["facts"]))
        elif kind == "gone":
            self._effects.pop(record["number"], None)
        elif kind == "process":
            handle = ProcessHandle(record["pid"], record["start_time"])
            self.processes.append(OurProcess(record["role"], handle, record.get("process_group", 0)))
        elif kind == "step":
            self.step = record["name"]
        elif kind == "edits":
            self.edits += record["edits"]
        elif kind == "owed":
            self.owed = [(name, made_by) for name, made_by in record["plugins"]]
        elif kind == "forgotten":
            self._forget(record["plugins"])
        elif kind == "descriptors":
            self.external_descriptors = tuple(record["targets"])
        elif kind == "status":
            self.status = record["status"]
        elif kind == "resources":
            if record["done"]:
                self.resources, self.schemata = record["resources"], record["schemata"]
        elif kind == "freezer":
            self.frozen = record["wanted"] == "frozen"

    def _forget(self, plugins: Iterable[str]) -> None:
        """Drop all that is of these plugins ("KIND:NAME"): nobody will undo it, and nobody waits for them."""
        self._forgotten.update(plugins)
        for owner, placed in list(self.placements.items()):
            if f"{placed.kind}:{placed.name}" in self._forgotten:
                del self.placements[owner]
                self._effects = {number: found for number, found in self._effects.items() if found[0] != owner}
        if self.owed is not None:
            self.owed = [(name, made_by) for name, made_by in self.owed if f"lifecycle:{name}" not in self._forgotten]

    def catch_up(self, records: Iterable[Mapping[str, Any]], offset: int, damaged: bool = False) -> Ledger:
        """Take what was read from the journal into account; returns itself."""
        self.damaged = self.damaged or damaged
        for record in records:
            self.add(record)
        self.offset = offset
        return self

    def effects(self, owner: str) -> list[Effect]:
        """Effects of one owner that are ours to undo, newest first.

        An intent that found something there (``absent`` False) and was never confirmed is not ours: whatever it
        is, somebody else made it.
        """
        ours = [e for o, e in self._effects.values() if o == owner and (e.done or e.absent)]
        return ours[::-1]

    @property
    def lifecycle(self) -> list[tuple[str, str]]:
        """Those that it was created with and that are not forgotten, in order: name, distribution and version."""
        named = self.begin.get("lifecycle", ())
        return [(name, made_by) for name, made_by in named if f"lifecycle:{name}" not in self._forgotten]

    @property
    def private_pid_namespace(self) -> bool:
        """Whether the container's processes die with its init (pid_namespaces(7)); else its cgroup must be killed."""
        return bool(self.begin.get("namespaces", 0) & _CLONE_NEWPID)

    def init(self) -> ProcessHandle | None:
        """The container's init (or stage 0, if it did not get further), None when no process was started."""
        for role in ("init", "stage 0"):
            for process in reversed(self.processes):
                if process.role == role:
                    return process.handle
        return None
