"""pytest plugin of corelaunch (entry point ``pytest11``): runs contract suites and says what was not checked.

    pytest --corelaunch-contract cgroup_manager:NAME      # an installed plugin, without a line of code
    pytest --corelaunch-host=require                      # what this host lacks is a failure (for CI)

It is loaded by every pytest of the environment, so nothing but pytest is imported before it is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

#: Kind of plugin -> its contract, and the fixture that gives the implementation.
CONTRACTS = {
    "cgroup_manager": ("corelaunch.testing.cgroup_contract:CgroupManagerContract", "manager"),
    "rdt_manager": ("corelaunch.testing.rdt_contract:RdtManagerContract", "manager"),
    "network_strategy": ("corelaunch.testing.network_contract:NetworkStrategyContract", "strategy"),
    "lifecycle": ("corelaunch.testing.lifecycle_contract:LifecycleContract", "plugin"),
}

#: The file that is collected in place of a test file of the author's.
CONTRACT_FILE = Path(__file__).with_name("installed_plugins.py")

#: First words, and words, of the two reasons for a skip; see host.py.
_HOST_LACKS = "this host lacks "
_NOT_CLAIMED = "not claimed"

#: What the names of promises about another process, or those of their fixtures, have in common.
_LATER = "later_process"

#: Contract and cause -> the test that has met it first.
_FIRST = pytest.StashKey[dict[tuple[str, str], str]]()

# Without this a failing promise of an editable install would show a bare AssertionError.
pytest.register_assert_rewrite(
    *(
        module
        for name in sorted(os.listdir(Path(__file__).parent))
        if name.endswith(".py")
        and (module := f"{__package__}.{name[:-3]}") not in sys.modules
        and name != "__init__.py"
    )
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options."""
    group = parser.getgroup("corelaunch", "contract suites of corelaunch")
    group.addoption(
        "--corelaunch-contract",
        action="append",
        default=[],
        metavar="KIND:NAME[:key=value,...]",
        help=f"run the contract suite of an installed plugin; KIND is one of {', '.join(CONTRACTS)}; options are "
        "those of a network strategy, as for --network; may be repeated",
    )
    group.addoption(
        "--corelaunch-host",
        choices=("skip", "require"),
        default="skip",
        help="what to do with a promise that this host cannot check: skip it (default), or fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the contract file, alone or beside the files that were named on the command line."""
    chosen = config.getoption("--corelaunch-contract")
    for choice in chosen:
        kind, name = _kind_and_name(choice)
        name, colon, _ = name.partition(":")
        if kind not in CONTRACTS or not name:
            raise pytest.UsageError(
                f"--corelaunch-contract {choice}: write KIND:NAME, where KIND is one of {', '.join(CONTRACTS)}"
            )
        if colon and kind != "network_strategy":
            raise pytest.UsageError(f"--corelaunch-contract {choice}: only a network_strategy has options")
        _load(choice, kind, name)
    if chosen:
        named = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
        config.args = [*named, str(CONTRACT_FILE)]
    config.pluginmanager.register(ContractReport(), "corelaunch-contract-report")


def _kind_and_name(choice: str) -> tuple[str, str]:
    """Both parts of KIND:NAME; the kind may be written as ``plugin new`` has it, with a hyphen."""
    kind, _, name = choice.partition(":")
    return kind.replace("-", "_"), name


def _load(choice: str, kind: str, name: str) -> None:
    """Load the plugin once: if that fails no promise can be tried, and each would say the same."""
    from corelaunch.errors import CorelaunchError
    from corelaunch.plugins.registry import Registry

    try:
        Registry().plugin(kind, name) if kind == "lifecycle" else Registry().load(kind, name)
    except CorelaunchError as error:
        raise pytest.UsageError(f"--corelaunch-contract {choice}: {error}") from None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """The contract file has no tests of its own: its classes come from the command line."""
    if module_path == CONTRACT_FILE:
        module: pytest.Module = InstalledPlugins.from_parent(parent, path=module_path)
        return module
    return None


class InstalledPlugins(pytest.Module):
    """A module with one contract class for each plugin that was asked for."""

    def _getobj(self) -> ModuleType:
        from corelaunch.testing.installed_plugins import contract_class

        module = ModuleType("installed_plugins")
        for choice in self.config.getoption("--corelaunch-contract"):
            kind, name = _kind_and_name(choice)
            cls = contract_class(kind, name, *CONTRACTS[kind])
            setattr(module, cls.__name__, cls)
        return module

    def collect(self) -> Iterator[pytest.Collector]:
        """Every class, whatever the author's ``python_classes`` says."""
        for name, value in vars(self.obj).items():
            if isinstance(value, type):
                yield pytest.Class.from_parent(self, name=name, obj=value)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a later process must do without comes first.

    That process is forked from this one, and has all that a plugin's module remembers. Before any other test that is
    nothing. (Not so with several workers of xdist: there it helps that every promise has containers of its own.)
    """
    items.sort(key=lambda item: not (_contract_of(item) and _LATER in f"{item.name} {_fixtures(item)}"))


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Note what became of a promise, and why; a skip for the host's sake fails if it was so wished."""
    contract = _contract_of(item)
    style = item.config.option.tbstyle
    if contract and style == "auto":
        item.config.option.tbstyle = "short"  # whoever wants the source of a promise too says --tb=long
    try:
        report = yield
    finally:
        item.config.option.tbstyle = style
    if not contract:
        return report
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    reason = reason.removeprefix("Skipped: ")
    cause = reason
    if reason.startswith(_HOST_LACKS) and item.config.getoption("--corelaunch-host") == "require":
        report.outcome = "failed"
        report.longrepr = f"{reason} (and --corelaunch-host=require was given)"
    elif report.failed and call.excinfo is not None:
        from .failure_causes import cause_of

        cause, reason = cause_of(call.excinfo.value)
        if reason.startswith(("assert ", "nothing was refused")):
            reason = f"{item.name.removeprefix('test_').replace('_', ' ')}: {reason}"
        first = item.config.stash.setdefault(_FIRST, {}).setdefault((contract, cause), item.nodeid)
        if first != item.nodeid and style == "auto":
            report.longrepr = f"{reason}\n(as {first}, where its traceback is)"
    report.corelaunch_promise = [contract, _verdict(report, reason), cause, reason]
    return report


def _contract_of(item: pytest.Item) -> str:
    """The contract that a test belongs to, "" for any other test. Only contracts that are loaded can have one."""
    cls = getattr(item, "cls", None)
    for path, _ in CONTRACTS.values():
        module, _, name = path.partition(":")
        contract = getattr(sys.modules.get(module), name, None)
        if cls is not None and contract is not None and issubclass(cls, contract):
            return f"{cls.__name__} ({name})"
    return ""


def _verdict(report: Any, reason: str) -> str:
    if report.failed:
        return "broken"
    if not report.skipped:
        return "kept" if report.when == "call" else ""
    if reason.startswith(_HOST_LACKS):
        return "host lacks"
    return "not claimed" if reason.endswith(_NOT_CLAIMED) else "does not apply"


class ContractReport:
    """The last lines of a run: for each contract how many promises were kept and how many not, and why those not."""

    def __init__(self) -> None:
        #: Contract -> verdict -> cause -> how often, and in which words at first.
        self._counts: dict[str, dict[str, dict[str, tuple[int, str]]]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count (in the controlling process, if tests run in several)."""
        contract, verdict, cause, reason = getattr(report, "corelaunch_promise", ("", "", "", ""))
        if verdict:
            reasons = self._counts.setdefault(contract, {}).setdefault(verdict, {})
            count, words = reasons.get(cause, (0, reason))
            reasons[cause] = (count + 1, words)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Write them."""
        for contract, verdicts in self._counts.items():
            terminalreporter.section(contract)
            for verdict in ("kept", "broken", "not claimed", "host lacks", "does not apply"):
                reasons = verdicts.get(verdict, {}).values()
                terminalreporter.write_line(f"{verdict}: {sum(count for count, _ in reasons)}")
                if verdict != "kept":
                    for count, reason in sorted(reasons, key=lambda one: (-one[0], one[1])):
                        terminalreporter.write_line(f"    {count} {reason}")
