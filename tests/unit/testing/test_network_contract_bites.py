"""The network contract is tested itself: the references pass, each wrong strategy fails for its own reason.

All of them run in pytests of their own, side by side, because they mostly wait for the kernel; the tests here read
the reports. References are asked for every promise, and a wrong strategy for those that it was made to break and for
some that hold for all: what else it is asked, it answers as the reference does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from corelaunch.testing import network_wrong as wrong
from corelaunch.testing import network_wrong_bridge as wrong_bridge
from corelaunch.testing import network_wrong_check as wrong_check
from corelaunch.testing import network_wrong_companion as wrong_companion
from corelaunch.testing import network_wrong_move as wrong_move
from corelaunch.testing import network_wrong_nat as wrong_nat
from corelaunch.testing import network_wrong_placement as wrong_placement
from corelaunch.testing import network_wrong_refusing as wrong_refusing
from corelaunch.testing.network_reference import PlainVeth, ReferenceVeth
from corelaunch.testing.network_reference_bridge import ReferenceBridge
from corelaunch.testing.network_reference_companion import ReferenceCompanion
from corelaunch.testing.network_reference_move import ReferenceMove
from corelaunch.testing.network_reference_nat import ReferenceNat

#: The fixture runs a thousand tests, and whichever test comes first waits for it.
pytestmark = [pytest.mark.bites, pytest.mark.needs_root, pytest.mark.timeout(600)]

#: How many pytests share the work.
PARTS = 3

#: What every wrong strategy is asked for, too: a link comes, works and goes.
COMMON = frozenset(
    {
        "place_changes_nothing",
        "create_puts_the_promised_link_into_the_container",
        "initialize_brings_the_link_up",
        "destroy_leaves_nothing_and_may_be_called_twice",
    }
)

#: Wrong strategy -> the promises that it breaks, without "test_".
WRONG: Mapping[type[ReferenceVeth], frozenset[str]] = {
    wrong.RandomNames: frozenset({"place_answers_the_same_to_the_same_request"}),
    wrong.CutNames: frozenset({"host_names_fit_and_differ_for_each_container_and_index"}),
    wrong.IgnoresUnknownOptions: frozenset(
        {
            "an_unknown_option_is_refused_by_its_name",
            "options_of_unclaimed_features_are_refused",
            "what_would_be_another_line_of_a_dns_file_is_refused",
        }
    ),
    wrong.NeedlesslyAccepts: frozenset({"options_of_unclaimed_features_are_refused"}),
    wrong.PretendsStats: frozenset({"unclaimed_operations_are_refused"}),
    wrong.AnnouncesTooLate: frozenset(
        {
            "create_announces_each_host_link_before_it_makes_it",
            "create_announces_honestly_and_confirms_what_it_made",
            "create_makes_nothing_when_the_announcement_fails",
        }
    ),
    wrong.NeverConfirms: frozenset(
        {
            "create_announces_honestly_and_confirms_what_it_made",
            "create_that_fails_at_the_confirmation_is_undone_from_the_journal",
            "kill_9_before_the_confirmation_leaves_what_destroy_finds",
            "destroy_leaves_a_foreign_link_in_place_of_an_unconfirmed_one",
        }
    ),
    wrong.TakesAnyProcess: frozenset({"create_refuses_a_pid_that_belongs_to_another_process_now"}),
    wrong.ReplacesForeignLinks: frozenset({"create_leaves_a_foreign_link_of_its_name_untouched"}),
    wrong.WrongNameInside: frozenset({"create_puts_the_promised_link_into_the_container"}),
    wrong.ClosesTheSocket: frozenset({"initialize_leaves_the_socket_open"}),
    wrong.EntersTheNamespace: frozenset({"the_caller_stays_in_its_network_namespace"}),
    wrong.NeedsTheProcess: frozenset({"initialize_needs_nothing_but_the_socket"}),
    wrong.WaitsForDuplicates: frozenset({"addresses_are_there_and_usable_at_once"}),
    wrong.ForgetsTheGateway: frozenset({"routes_are_there", "ipv6_routes_are_there"}),
    wrong.OneFamilyOnly: frozenset({"ipv6_routes_are_there"}),
    wrong.NumbersItsLinks: frozenset(
        {"the_name_inside_is_as_asked", "several_interfaces_of_one_container_have_each_its_own"}
    ),
    wrong.OneAddressForAll: frozenset({"several_interfaces_of_one_container_have_each_its_own"}),
    wrong_placement.KeepsAddressesToItself: frozenset({"addresses_are_in_the_placement_for_core_to_see"}),
    wrong_placement.SwallowsDns: frozenset({"what_is_asked_of_dns_is_in_the_placement_for_core_to_write"}),
    wrong_placement.BelievesDnsText: frozenset({"what_would_be_another_line_of_a_dns_file_is_refused"}),
    wrong_placement.AlwaysMeansEth0: frozenset({"accept_ra_is_a_parameter_of_the_interface_for_core_to_write"}),
    wrong.MtuOnTheWrongEnd: frozenset({"the_mtu_is_as_asked"}),
    wrong.StatsFromTheHost: frozenset(
        {"stats_count_from_the_containers_side", "stats_are_of_the_containers_own_link"}
    ),
    wrong.CountsAllLinks: frozenset({"stats_are_of_the_containers_own_link"}),
    wrong.ZerosForGone: frozenset({"stats_of_a_link_that_is_gone_are_an_error"}),
    wrong.DestroysByName: frozenset(
        {
            "destroy_leaves_a_foreign_link_that_took_the_name_since",
            "destroy_leaves_a_foreign_link_in_place_of_an_unconfirmed_one",
        }
    ),
    wrong.DestroysByPlacement: frozenset(
        {"destroy_removes_only_what_the_effects_name", "create_leaves_a_foreign_link_of_its_name_untouched"}
    ),
    wrong.RemembersInMemory: frozenset(
        {
            "destroy_in_a_later_process_needs_only_the_journal",
            "kill_9_before_the_confirmation_leaves_what_destroy_finds",
            "create_that_fails_at_the_confirmation_is_undone_from_the_journal",
        }
    ),
    wrong.ForgetsUnconfirmed: frozenset(
        {
            "kill_9_before_the_confirmation_leaves_what_destroy_finds",
            "create_that_fails_at_the_confirmation_is_undone_from_the_journal",
        }
    ),
    wrong.FailsWhenGone: frozenset(
        {
            "destroy_leaves_nothing_and_may_be_called_twice",
            "destroy_copes_with_a_dead_network_namespace",
            "create_leaves_nothing_when_the_name_is_taken_inside",
        }
    ),
    wrong.LeaksDescriptors: frozenset({"no_descriptor_is_left_open"}),
    wrong_bridge.TakesTheBridgeAlong: frozenset(
        {
            "the_bridge_goes_with_its_last_container",
            "a_stopped_container_does_not_keep_the_bridge_that_another_uses_or_leaves",
        }
    ),
    wrong_bridge.OwnsByName: frozenset(
        {
            "a_foreign_bridge_is_joined_as_it_is_and_stays",
            "a_foreign_bridge_without_the_address_is_refused_and_left_as_it_is",
            "destroy_leaves_a_foreign_bridge_that_took_the_name_since",
        }
    ),
    wrong_bridge.ChangesWhatOthersUse: frozenset({"a_bridge_that_another_container_uses_is_not_changed"}),
    wrong_bridge.OneBridgeForAll: frozenset({"containers_on_two_bridges_do_not_reach_each_other"}),
    wrong_bridge.JoinsAnything: frozenset({"a_link_of_the_bridges_name_that_is_no_bridge_is_refused_and_left"}),
    wrong_bridge.ForgetsThePort: frozenset({"containers_on_one_bridge_and_the_host_reach_each_other"}),
    wrong_bridge.LooksAndThenActs: frozenset({"launches_at_the_same_time_share_one_bridge_and_leave_none"}),
    wrong_bridge.ConfirmsTheBridgeEarly: frozenset(
        {
            "kill_9_before_the_bridge_is_confirmed_leaves_what_destroy_finds",
            "create_announces_honestly_and_confirms_what_it_made",
        }
    ),
    wrong_bridge.LeavesUnconfirmedBridges: frozenset(
        {
            "kill_9_before_the_bridge_is_confirmed_leaves_what_destroy_finds",
            "create_that_fails_at_the_confirmation_is_undone_from_the_journal",
        }
    ),
    wrong_nat.KeepsTheRules: frozenset({"nat_stays_until_the_last_container_goes_and_then_nothing_of_it"}),
    wrong_nat.LeavesForwardingOn: frozenset(
        {
            "nat_stays_until_the_last_container_goes_and_then_nothing_of_it",
            "kill_9_before_a_table_is_confirmed_leaves_what_destroy_finds",
        }
    ),
    wrong_nat.TranslatesOneFamily: frozenset({"what_is_outside_is_reached_under_the_hosts_own_address"}),
    wrong_nat.LetsEverybodyIn: frozenset(
        {"nobody_outside_gets_in_unasked", "containers_of_two_bridges_with_nat_do_not_reach_each_other"}
    ),
    wrong_nat.TablesAreByName: frozenset(
        {
            "a_foreign_table_in_the_way_is_refused_and_left",
            "destroy_leaves_a_foreign_table_that_took_the_name_since",
        }
    ),
    wrong_nat.AnnouncesTablesLate: frozenset({"each_table_is_announced_and_confirmed"}),
    wrong_nat.ConfirmsTablesEarly: frozenset(
        {
            "each_table_is_announced_and_confirmed",
            "kill_9_before_a_table_is_confirmed_leaves_what_destroy_finds",
        }
    ),
    wrong_nat.PromisesNatToAll: frozenset({"a_bridge_without_nat_that_others_use_gets_none"}),
    wrong_move.LosesTheDevice: frozenset(
        {
            "the_device_comes_back_as_it_was_whatever_the_container_did_to_it",
            "kill_9_before_the_move_is_confirmed_leaves_what_destroy_brings_back",
        }
    ),
    wrong_move.ForgetsHowItWas: frozenset(
        {
            "the_device_comes_back_as_it_was_whatever_the_container_did_to_it",
            "a_running_container_gives_the_device_back",
        }
    ),
    wrong_move.ForgetsTheAddresses: frozenset(
        {
            "the_device_comes_back_as_it_was_whatever_the_container_did_to_it",
            "a_running_container_gives_the_device_back",
            "kill_9_before_the_move_is_confirmed_leaves_what_destroy_brings_back",
        }
    ),
    wrong_move.TakesItsNameBack: frozenset(
        {"a_foreign_link_that_took_the_name_since_stays_and_the_device_is_back_beside_it"}
    ),
    wrong_move.CopiesTheDevice: frozenset({"the_device_is_in_the_container_and_not_on_the_host"}),
    wrong_check.FindsAllInOrder: frozenset({"check_tells_that_the_containers_link_is_gone"}),
    wrong_check.ChecksFromMemory: frozenset({"check_in_a_later_process_finds_what_is_in_order_in_order"}),
    wrong_check.TakesDownWhileChecking: frozenset({"check_in_a_later_process_finds_what_is_in_order_in_order"}),
    wrong_check.CollectsEverything: frozenset({"collect_removes_what_no_container_has_and_nothing_else"}),
    wrong_check.CollectsNothing: frozenset({"collect_removes_what_no_container_has_and_nothing_else"}),
    wrong_check.PretendsCheck: frozenset({"unclaimed_operations_are_refused"}),
    wrong_companion.OutlivesTheContainer: frozenset({"a_program_ends_with_the_containers_process"}),
    wrong_companion.ForgetsTheProgram: frozenset(
        {
            "a_program_ends_with_destroy_in_a_later_process",
            "a_program_that_was_started_before_a_kill_9_ends_with_destroy",
        }
    ),
    wrong_companion.ForgetsUnconfirmedPrograms: frozenset(
        {"a_program_that_was_started_before_a_kill_9_ends_with_destroy"}
    ),
    wrong_companion.KillsByNumber: frozenset({"a_process_that_has_the_number_since_is_left_alone"}),
    wrong_companion.RunsBeforeTheAnnouncement: frozenset({"a_program_does_not_run_when_its_announcement_fails"}),
    wrong_refusing.BelievesValues: frozenset({"a_malformed_value_is_refused_by_its_option"}),
    wrong_refusing.FailsRawAtValues: frozenset({"a_malformed_value_is_refused_by_its_option"}),
    wrong_refusing.RaisesOSError: frozenset({"a_route_that_cannot_be_is_a_clear_error_and_undone"}),
    wrong_refusing.SwallowsRoutes: frozenset({"a_route_that_cannot_be_is_a_clear_error_and_undone"}),
    wrong_refusing.FailsRawWhenGone: frozenset({"initialize_of_a_link_that_is_gone_fails_clearly_if_at_all"}),
    wrong_refusing.ReplacesRoutes: frozenset({"an_interface_does_not_replace_the_routes_of_another"}),
    wrong_refusing.TurnsForwardingOn: frozenset({"parameters_of_the_host_stay_as_they_are"}),
    wrong_refusing.TurnsForwardingOff: frozenset({"parameters_of_the_host_stay_as_they_are"}),
    wrong_refusing.LeavesTheEndDown: frozenset({"the_hosts_end_is_up"}),
    wrong_refusing.MtuOfOneEnd: frozenset({"the_hosts_end_has_the_mtu_of_the_containers"}),
    wrong_refusing.OneMacForAll: frozenset({"two_containers_have_two_mac_addresses"}),
    wrong_refusing.DestroysByNumber: frozenset({"destroy_leaves_a_foreign_link_that_took_the_number_since"}),
    wrong_refusing.TidiesUp: frozenset({"other_links_of_the_host_stay_as_they_are"}),
    wrong_refusing.MovesTheNeighbour: frozenset(
        {
            "other_links_of_the_host_stay_as_they_are",
            "create_puts_the_promised_link_into_the_container",
            "destroy_leaves_nothing_and_may_be_called_twice",
        }
    ),
    wrong_refusing.LeaksInCheck: frozenset({"no_descriptor_thread_or_child_is_added_with_each_container"}),
    wrong_refusing.LeaksInAttach: frozenset({"no_descriptor_thread_or_child_is_added_with_each_container"}),
    wrong_refusing.LeaksInDetach: frozenset({"no_descriptor_thread_or_child_is_added_with_each_container"}),
}

#: These break something that most other promises stand on, or that others meet by chance: more may fail.
FAR_REACHING = frozenset(
    {
        wrong.WrongNameInside,
        wrong.ClosesTheSocket,
        wrong.EntersTheNamespace,
        wrong_bridge.TakesTheBridgeAlong,
        wrong_bridge.ForgetsThePort,
        wrong_bridge.LooksAndThenActs,
        wrong_nat.KeepsTheRules,
        wrong_nat.LeavesForwardingOn,
        wrong_move.LosesTheDevice,
        wrong_move.ForgetsHowItWas,
        wrong_move.CopiesTheDevice,
        wrong_move.TakesItsNameBack,
        wrong_companion.RunsBeforeTheAnnouncement,
    }
)

REFERENCES = (
    "ReferenceVeth", "ReferenceBridge", "ReferenceNat", "ReferenceMove", "ReferenceCompanion", "PlainVeth"
)

CONTRACTS = """
import json
import os
import pytest
from corelaunch.testing import network_reference, network_reference_bridge, network_reference_companion
from corelaunch.testing import network_reference_move, network_reference_nat, network_wrong, network_wrong_bridge
from corelaunch.testing import network_wrong_check, network_wrong_companion, network_wrong_move
from corelaunch.testing import network_wrong_nat, network_wrong_placement, network_wrong_refusing
from corelaunch.testing.network_contract import NetworkStrategyContract
from corelaunch.testing.network_stage import lend_devices

class WithDevices(NetworkStrategyContract):
    @pytest.fixture
    def options(self, private_host):
        return lend_devices()

with open("asked.json") as file:
    ASKED = json.load(file)

def contract(strategy):
    members = {"strategy": pytest.fixture(lambda self: strategy(), name="strategy")}
    base = WithDevices if "move" in strategy.features else NetworkStrategyContract
    every = {name for name in dir(base) if name.startswith("test_")}
    members.update(dict.fromkeys(every.difference(ASKED.get(strategy.__name__, every))))
    return type(f"Test{strategy.__name__}", (base,), members)

MODULES = (
    network_reference, network_reference_bridge, network_reference_companion, network_reference_move,
    network_reference_nat, network_wrong, network_wrong_bridge, network_wrong_check, network_wrong_companion,
    network_wrong_move, network_wrong_nat, network_wrong_placement, network_wrong_refusing,
)
found = {}
for module in MODULES:
    for strategy in vars(module).values():
        if isinstance(strategy, type) and issubclass(strategy, network_reference.ReferenceVeth):
            found.setdefault(f"Test{strategy.__name__}", contract(strategy))

class TestForgotten(NetworkStrategyContract):
    pass

found["TestForgotten"] = TestForgotten
del TestForgotten
globals().update(list(found.items())[int(os.environ["PART"]) :: int(os.environ["PARTS"])])
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, str]]:
    """Class of the strategy -> promise -> "" (kept), "skipped", or the failure's text."""
    directory = tmp_path_factory.mktemp("contract")
    (directory / "test_contracts.py").write_text(CONTRACTS)
    asked = {strategy.__name__: [f"test_{promise}" for promise in COMMON | WRONG[strategy]] for strategy in WRONG}
    (directory / "asked.json").write_text(json.dumps(asked))
    parts = [_start(directory, part) for part in range(PARTS)]
    try:
        codes = [part.wait(timeout=550) for part in parts]
    finally:
        for part in parts:
            part.kill()
            part.wait()
    outputs = [(directory / f"output{part}").read_text() for part in range(PARTS)]
    assert codes == [pytest.ExitCode.TESTS_FAILED] * PARTS, "\n".join(outputs)
    found: dict[str, dict[str, str]] = {}
    for part in range(PARTS):
        for case in ElementTree.parse(directory / f"report{part}.xml").iter("testcase"):
            outcome = "".join(
                "skipped" if child.tag == "skipped" else (child.get("message") or "") + (child.text or "")
                for child in case
            )
            promises = found.setdefault(case.get("classname", "").rpartition(".Test")[2], {})
            promises[case.get("name", "").removeprefix("test_")] = outcome
    return found


def _start(directory: Path, part: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:corelaunch"]
    command += ["--tb=short", f"--rootdir={directory}", f"--junitxml={directory}/report{part}.xml", str(directory)]
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": ":".join(map(os.path.abspath, sys.path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PART": str(part),
        "PARTS": str(PARTS),
    }
    with open(directory / f"output{part}", "wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=directory)


def failed(promises: Mapping[str, str]) -> set[str]:
    return {promise.partition("[")[0] for promise, outcome in promises.items() if outcome not in ("", "skipped")}


@pytest.mark.parametrize(
    "strategy", [ReferenceVeth, ReferenceBridge, ReferenceNat, ReferenceMove, ReferenceCompanion, PlainVeth]
)
def test_a_right_strategy_keeps_every_promise(
    report: Mapping[str, Mapping[str, str]], strategy: type[ReferenceVeth]
) -> None:
    assert failed(report[strategy.__name__]) == set()


def test_every_promise_is_kept_by_a_reference_and_not_only_skipped(report: Mapping[str, Mapping[str, str]]) -> None:
    kept = {promise for name in REFERENCES for promise, out in report[name].items() if out == ""}
    assert kept == set(report["ReferenceVeth"])
    assert {promise.partition("[")[0] for promise in kept} >= COMMON


def test_every_wrong_strategy_is_listed(report: Mapping[str, Mapping[str, str]]) -> None:
    assert set(report) == {*REFERENCES, "Forgotten", *(strategy.__name__ for strategy in WRONG)}


@pytest.mark.parametrize("strategy", WRONG, ids=lambda strategy: strategy.__name__)
def test_a_wrong_strategy_breaks_the_promises_that_it_was_made_to_break(
    report: Mapping[str, Mapping[str, str]], strategy: type[ReferenceVeth]
) -> None:
    broken = failed(report[strategy.__name__])
    assert broken >= WRONG[strategy]
    if strategy not in FAR_REACHING:
        assert broken == WRONG[strategy]


@pytest.mark.parametrize(
    ("strategy", "promise", "reason"),
    [
        ("AnnouncesTooLate", "create_announces_each_host_link_before_it_makes_it", "before its announcement"),
        ("ClosesTheSocket", "initialize_leaves_the_socket_open", "the socket was closed"),
        ("EntersTheNamespace", "the_caller_stays_in_its_network_namespace", "create"),
        ("NeverConfirms", "kill_9_before_the_confirmation_leaves_what_destroy_finds", "never confirmed"),
        ("FailsWhenGone", "destroy_leaves_nothing_and_may_be_called_twice", "no such link"),
    ],
)
def test_a_broken_promise_says_why(
    report: Mapping[str, Mapping[str, str]], strategy: str, promise: str, reason: str
) -> None:
    assert reason in report[strategy][promise]


def test_a_contract_without_its_fixture_says_which_one_to_define(report: Mapping[str, Mapping[str, str]]) -> None:
    assert all("TestForgotten must define a `strategy` fixture" in text for text in report["Forgotten"].values())
