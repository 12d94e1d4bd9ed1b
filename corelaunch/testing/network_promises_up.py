"""Promises of a network strategy on the way up: place, create."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    CorelaunchError,
    Effect,
    KernelError,
    NetworkPlacement,
    Unsupported,
)

from .network_host import Container, EffectRecorder, host_links
from .network_rtnetlink import IFLA_IFNAME, attribute
from .network_stage import FEATURES, Stage, make_foreign, still_links


class Placing:
    """``place`` is pure, strict, and gives names that do not meet."""

    def test_every_claimed_feature_is_one_of_the_interface(self, stage: Stage) -> None:
        assert set(stage.strategy.features) <= set(FEATURES)

    def test_place_answers_the_same_to_the_same_request(self, stage: Stage) -> None:
        assert stage.place() == stage.place()

    def test_place_changes_nothing(self, stage: Stage) -> None:
        before = still_links()
        stage.place()
        assert still_links() == before

    def test_a_placement_survives_the_journal(self, stage: Stage) -> None:
        fields = _with_lists(stage.place().as_dict())
        assert NetworkPlacement(**json.loads(json.dumps(fields))).as_dict() == fields

    def test_host_names_fit_and_differ_for_each_container_and_index(self, stage: Stage) -> None:
        long = "long" * 60
        ids = [
            "clnet-a",
            "clnet-a1",
            "clnet-b",
            f"clnet-{long}-a",
            f"clnet-{long}-b",
            f"clnet-a-{long}",
            f"clnet-b-{long}",
        ]
        names = [
            stage.place(container_id=container_id, index=index).host_name
            for container_id in ids
            for index in (0, 1, 10)
        ]
        assert [name for name in names if len(name.encode()) > 15] == []
        assert len(set(names)) == len(names) or set(names) == {""}

    def test_an_unknown_option_is_refused_by_its_name(self, stage: Stage) -> None:
        with pytest.raises(ConfigError, match="clnet-unknown"):
            stage.place({"clnet-unknown": "1"})

    def test_options_of_unclaimed_features_are_refused(self, stage: Stage) -> None:
        for feature in stage.unclaimed(*(feature for feature, options in FEATURES.items() if options)):
            for option, value in FEATURES[feature].items():
                with pytest.raises((ConfigError, Unsupported), match=option):
                    stage.place({option: value})

    def test_addresses_are_in_the_placement_for_core_to_see(self, stage: Stage) -> None:
        stage.need("addresses")
        asked = ["10.123.0.2/24", "10.123.0.3/24", "fd00:7b::2/64"]
        assert list(stage.place({"address": ",".join(asked)}).addresses) == asked

    def test_what_is_asked_of_dns_is_in_the_placement_for_core_to_write(self, stage: Stage) -> None:
        stage.need("dns")
        asked = {"dns": "10.123.0.53,fd00:7b::53", "search": "example.org,local", "dns-option": "ndots:2,rotate"}
        placement = stage.place({**asked, "add-host": "db:10.123.0.9,db:fd00:7b::9"})
        assert list(placement.nameservers) == ["10.123.0.53", "fd00:7b::53"]
        assert list(placement.search) == ["example.org", "local"]
        assert list(placement.resolver_options) == ["ndots:2", "rotate"]
        assert list(placement.hosts) == ["10.123.0.9 db", "fd00:7b::9 db"]

    @pytest.mark.parametrize(
        ("option", "text"),
        [
            ("dns", "10.123.0.53\nnameserver 10.123.0.54"),
            ("dns", "example.org"),
            ("search", "example.org\nnameserver 10.123.0.54"),
            ("dns-option", "ndots:2\nnameserver 10.123.0.54"),
            ("add-host", "db:10.123.0.9\n10.123.0.9"),
            ("add-host", "db db2:10.123.0.9"),
            ("add-host", "db:here"),
        ],
        ids=["dns", "dns-name", "search", "dns-option", "add-host", "add-host-names", "add-host-word"],
    )
    def test_what_would_be_another_line_of_a_dns_file_is_refused(self, stage: Stage, option: str, text: str) -> None:
        stage.need("dns")
        with pytest.raises(ConfigError, match=option):
            stage.place({option: text})

    def test_accept_ra_is_a_parameter_of_the_interface_for_core_to_write(self, stage: Stage) -> None:
        stage.need("accept-ra")
        placement = stage.place(FEATURES["accept-ra"], index=3)
        assert placement.sysctl == {f"net/ipv6/conf/{placement.container_name}/accept_ra": "0"}


class GoingUp:
    """``create`` announces, makes exclusively, confirms, and puts the promised link into the right container."""

    def test_create_puts_the_promised_link_into_the_container(self, stage: Stage) -> None:
        placement = stage.place()
        stage.create(placement)
        assert set(stage.container.links()) == {"lo", placement.container_name}

    def test_create_announces_each_host_link_before_it_makes_it(self, stage: Stage) -> None:
        placement = stage.place_on_host()
        before = still_links()
        recorder = stage.create(placement)
        made = set(host_links()) - set(before)
        assert made == {placement.host_name, placement.shared_name} - {""}
        announced = [e for e in recorder.all_effects if e.name not in recorder.links_at_intend[e.number]]
        assert made <= {e.name for e in announced}, "a link was there before its announcement, or was never announced"

    def test_create_announces_honestly_and_confirms_what_it_made(self, stage: Stage) -> None:
        recorder = stage.create(stage.place_on_host())
        assert recorder.dishonest == []
        assert [e for e in recorder.all_effects if not e.done] == []

    def test_create_makes_nothing_when_the_announcement_fails(self, stage: Stage) -> None:
        def fail(effect: Effect) -> None:
            raise KernelError("cannot write the journal", errno=errno.ENOSPC)

        placement, before = stage.place_on_host(), still_links()
        with pytest.raises(KernelError):
            stage.create(placement, EffectRecorder(at_intend=fail))
        assert (still_links(), set(stage.container.links())) == (before, {"lo"})

    def test_create_refuses_a_pid_that_belongs_to_another_process_now(self, stage: Stage) -> None:
        before = still_links()
        process = stage.container.process
        with pytest.raises(CorelaunchError):
            stage.strategy.create(stage.place(), process.replace(start_time=process.start_time + 1), EffectRecorder())
        assert (still_links(), set(stage.container.links())) == (before, {"lo"})

    def test_create_leaves_a_foreign_link_of_its_name_untouched(self, stage: Stage) -> None:
        placement, recorder = stage.place_on_host(), EffectRecorder()
        make_foreign(placement.host_name)
        before = still_links()
        with pytest.raises(AlreadyExists):
            stage.create(placement, recorder)
        stage.strategy.destroy(placement, recorder.effects)
        assert (still_links(), set(stage.container.links())) == (before, {"lo"})

    def test_create_leaves_nothing_when_the_name_is_taken_inside(self, stage: Stage) -> None:
        placement, recorder, before = stage.place_new(), EffectRecorder(), still_links()
        with stage.container.netlink() as netlink:
            netlink.make_veth(placement.container_name, attribute(IFLA_IFNAME, "clnetpeer"))
        inside = stage.container.links()
        with pytest.raises(CorelaunchError):
            stage.create(placement, recorder)
        stage.strategy.destroy(placement, recorder.effects)
        assert (still_links(), stage.container.links()) == (before, inside)

    def test_two_containers_with_equal_options_do_not_meet(self, stage: Stage) -> None:
        before = set(host_links())
        with Container() as second:
            placements = [stage.place(container_id="clnet-a"), stage.place(container_id="clnet-b")]
            containers = [stage.container, second]
            recorders = [stage.give(p, c) for p, c in zip(placements, containers, strict=True)]
            stage.strategy.destroy(placements[0], recorders[0].effects)
            assert placements[1].container_name in second.links()
            stage.strategy.destroy(placements[1], recorders[1].effects)
        assert set(host_links()) == before

    def test_a_very_long_container_id_is_no_obstacle(self, stage: Stage) -> None:
        placement, before = stage.place(container_id="clnet" * 200, index=99), set(host_links())
        recorder = stage.give(placement)
        stage.strategy.destroy(placement, recorder.effects)
        assert set(host_links()) == before

    def test_two_links_of_one_container_do_not_meet(self, stage: Stage) -> None:
        placements, before = [stage.place_new(), stage.place(index=1)], set(host_links())
        recorders = [stage.give(placement) for placement in placements]
        assert set(stage.container.links()) == {"lo", *(placement.container_name for placement in placements)}
        assert len({placement.container_name for placement in placements}) == 2
        for placement, recorder in zip(placements, recorders, strict=True):
            stage.strategy.destroy(placement, recorder.effects)
        assert set(host_links()) == before

    def test_threads_may_create_at_the_same_time(self, stage: Stage) -> None:
        failures: list[BaseException] = []
        stage.create(stage.place())
        before = set(host_links())

        def launch(container_id: str) -> None:
            try:
                with Container() as own:
                    placement = stage.place(container_id=container_id)
                    stage.strategy.destroy(placement, stage.give(placement, own).effects)
            except BaseException as error:  # noqa: BLE001 -- a thread must not swallow it
                failures.append(error)

        threads = [threading.Thread(target=launch, args=(f"clnet-{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (failures, set(host_links())) == ([], before)


def _with_lists(value: Any) -> Any:
    """The same with a list for every tuple, which is what JSON makes of one."""
    if isinstance(value, Mapping):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
