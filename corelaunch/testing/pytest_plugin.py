"""pytest plugin of corelaunch (entry point ``pytest11``): runs contract suites and says what was not checked.

    pytest --corelaunch-contract cgroup_manager:NAME      # an installed plugin, without a line of code
    pytest --corelaunch-host=require                      # what this host lacks is a failure (for CI)

It is loaded by every pytest of the environment, so nothing but pytest is imported before it is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
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
        kind, _, name = choice.partition(":")
        name, colon, _ = name.partition(":")
        if kind not in CONTRACTS or not name:
            raise pytest.UsageError(
                f"--corelaunch-contract {choice}: write KIND:NAME, where KIND is one of {', '.join(CONTRACTS)}"
            )
        if colon and kind != "network_strategy":
            raise pytest.UsageError(f"--corelaunch-contract {choice}: only a network_strategy has options")
    if chosen:
        named = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
        config.args = [*named, str(CONTRACT_FILE)]
    config.pluginmanager.register(ContractReport(), "corelaunch-contract-report")


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
            kind, _, name = choice.partition(":")
            cls = contract_class(kind, name, *CONTRACTS[kind])
            setattr(module, cls.__name__, cls)
        return module

    def collect(self) -> Iterator[pytest.Collector]:
        """Every class, whatever the author's ``python_classes`` says."""
        for name, value in vars(self.obj).items():
            if isinstance(value, type):
                yield pytest.Class.from_parent(self, name=name, obj=value)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note what became of a promise; a skip for the host's sake fails if it was so wished."""
    report = yield
    contract = _contract_of(item)
    if not contract:
        return report
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    reason = reason.removeprefix("Skipped: ")
    if reason.startswith(_HOST_LACKS) and item.config.getoption("--corelaunch-host") == "require":
        report.outcome = "failed"
        report.longrepr = f"{reason} (and --corelaunch-host=require was given)"
    report.corelaunch_promise = [contract, _verdict(report, reason), reason]
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
    """The last lines of a run: for each contract what was kept, not claimed, and not to be checked on this host."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, dict[str, int]]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count (in the controlling process, if tests run in several)."""
        contract, verdict, reason = getattr(report, "corelaunch_promise", ("", "", ""))
        if verdict:
            reasons = self._counts.setdefault(contract, {}).setdefault(verdict, {})
            reasons[reason] = reasons.get(reason, 0) + 1

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Write them."""
        for contract, verdicts in self._counts.items():
            terminalreporter.section(contract)
            for verdict in ("kept", "broken", "not claimed", "host lacks", "does not apply"):
                reasons = verdicts.get(verdict, {})
                terminalreporter.write_line(f"{verdict}: {sum(reasons.values())}")
                if verdict in ("not claimed", "host lacks"):
                    for reason, count in sorted(reasons.items()):
                        terminalreporter.write_line(f"    {count} {reason}")
