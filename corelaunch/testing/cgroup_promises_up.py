"""Promises of a cgroup manager on the way up: placing, and creating exclusively with announced effects."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

from corelaunch.api import AlreadyExists, ConfigError

from .cgroup_stage import Made, Stage
from .context import Killed, RecordingContext, names_of
from .guest_child import at_once

_WORDS = "limits update freeze stats oom oom-events kill devices self-join plain-directories adopt rdma unified"
FEATURES = frozenset(f"{_WORDS} pressure delegate cgroup-v1 cgroup-v2 systemd systemd-user".split())


class Placing:
    """``features`` and ``place``."""

    def test_features_are_known_words(self, stage: Stage) -> None:
        """A claim that nobody tests is worth nothing."""
        assert isinstance(stage.manager.features, frozenset), "features must be a frozenset"
        unknown = sorted(stage.manager.features - FEATURES)
        assert not unknown, f"features that the contract does not know: {unknown}"

    def test_place_answers_the_same_to_the_same_request(self, stage: Stage) -> None:
        """What ``plan`` prints is what ``create`` will do."""
        assert stage.place() == stage.place()

    def test_place_changes_nothing(self, stage: Stage) -> None:
        """It is called by ``plan``, for a container that is never made."""
        placement = stage.place()
        there = [path for path in placement.paths.values() if os.path.lexists(path)]
        assert not there, f"place made {there}"

    def test_place_gives_each_container_its_own_cgroup(self, stage: Stage) -> None:
        """Two containers in one cgroup would share their limits and their end."""
        one, two = stage.place(1).paths, stage.place(2).paths
        shared = set(one.values()) & set(two.values())
        assert not shared, f"two containers share {shared}"

    def test_a_placement_is_absolute_paths_and_json(self, stage: Stage) -> None:
        """It goes through the journal and comes back in another process."""
        placement = stage.place()
        assert json.loads(json.dumps(placement.as_dict())) == placement.as_dict()
        assert placement.paths, "a placement without a path"
        wrong = [path for path in placement.paths.values() if os.path.normpath(path) != path or not os.path.isabs(path)]
        assert not wrong, f"not absolute and normal: {wrong}"

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_version_of_cgroups_that_is_claimed_and_mounted_is_used(self, stage: Stage, version: int) -> None:
        """Whoever asks ``features`` relies on it. (A systemd manager of a user may be given v2 alone.)"""
        stage.need(f"cgroup-v{version}")
        names = [name for name in stage.files.roots() if (name == "") == (version == 2)]
        if not names:
            pytest.skip(f"no hierarchy of cgroup v{version} is mounted here")
        placement = stage.place()
        used = sorted(set(placement.paths) & set(names))
        assert used, f"cgroup v{version} is claimed, and the placement has {sorted(placement.paths)}"

    def test_ids_that_are_long_and_alike_have_cgroups_of_their_own(self, stage: Stage) -> None:
        """An id has up to 223 letters, and engines make many that begin alike."""
        stage.place()
        long = "cl-cg-contract-".ljust(222, "0")
        one, two = (stage.manager.place(stage.request().replace(container_id=long + end)).paths for end in "12")
        shared = set(one.values()) & set(two.values())
        assert not shared, f"two containers share {shared}"
        too_long = [path for path in one.values() if len(os.path.basename(path)) > 255]
        assert not too_long, f"no name of a directory: {too_long}"

    @pytest.mark.parametrize("path", ["/cl-cg-contract/../../elsewhere", "../elsewhere", "..", "/..", "cl-cg/../.."])
    def test_a_path_with_dotdot_is_refused(self, stage: Stage, path: str) -> None:
        """Whatever a manager makes of ``cgroupsPath``, it does not climb."""
        with pytest.raises(ConfigError) as caught:
            stage.manager.place(stage.request().replace(path=path))
        assert caught.value.where, "the error does not say where in the config it is"


class Creating:
    """``create``."""

    def test_create_makes_every_cgroup_that_was_promised(self, stage: Stage) -> None:
        """Core opens and binds the paths of the placement."""
        made = stage.create()
        missing = [path for path in made.directories if not os.path.isdir(path)]
        assert not missing, f"place promised {missing}, create did not make it"

    def test_create_announces_all_that_it_makes(self, stage: Stage) -> None:
        """What the journal does not know cannot be undone."""
        made = stage.create()
        announced = {name for effect in made.ctx.all_effects for name in names_of(effect)}
        secret = [path for path in made.directories if path not in announced]
        assert not secret, f"made without announcing it: {secret}"

    def test_an_effect_says_in_its_args_which_directories_it_is(self, stage: Stage) -> None:
        """``path`` or ``paths``: core looks for processes in them, and ``destroy`` has nothing else to go by."""
        made = stage.create()
        told = {path for e in made.ctx.all_effects for path in e.args.get("paths") or [e.args.get("path", "")]}
        missing = [path for path in made.directories if path not in told]
        assert not missing, f"in no effect's args: {missing}"

    def test_parents_that_were_made_go_too(self, stage: Stage) -> None:
        """They are announced like the cgroup itself, or another one's work."""
        if stage.makes_units:
            pytest.skip("the service manager makes them, and removes them in its own time")
        directories = dict.fromkeys(stage.place().paths.values())
        missing = {parent for path in directories for parent in _parents(path) if not os.path.isdir(parent)}
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        left = sorted(path for path in missing if os.path.isdir(path))
        assert not left, f"made on the way, and left behind: {left}"

    def test_several_threads_may_create_at_the_same_time(self, stage: Stage) -> None:
        """A program that uses the API does, with one manager."""

        def launch(number: int, made: list[Made]) -> None:
            made.append(stage.create(number))

        for first in range(0, 12, 4):
            made: list[Made] = []
            for failure in at_once(*(partial(launch, number, made) for number in range(first, first + 4))):
                raise failure
            for each in made:
                missing = [path for path in each.directories if not os.path.isdir(path)]
                assert not missing, f"place promised {missing}, create did not make it"
            stage.end_processes()
            for each in made:
                stage.manager.destroy(each.placement, each.ctx.effects)
                left = [path for path in each.directories if os.path.isdir(path)]
                assert not left, f"left behind: {left}"

    def test_create_announces_before_it_makes_and_tells_the_truth(self, stage: Stage) -> None:
        """``absent`` decides whether a thing may be removed."""
        made = stage.create()
        assert made.ctx.dishonest == []

    def test_create_confirms_what_it_made(self, stage: Stage) -> None:
        """Without facts, ours cannot be told from a stranger's of the same name."""
        made = stage.create()
        unconfirmed = [effect.name for effect in made.ctx.effects if not effect.done or not effect.facts]
        assert not unconfirmed, f"never confirmed, or without facts: {unconfirmed}"

    def test_create_takes_the_process_that_it_is_given(self, stage: Stage) -> None:
        """A manager with ``needs_process`` makes the cgroup around the blocked child."""
        if not stage.manager.needs_process:
            pytest.skip("this manager needs no process to create")
        made = stage.create()
        assert made.first is not None
        assert made.first.pid in stage.manager.processes(made.placement), "the process is not in its cgroup"

    def test_create_leaves_a_foreign_cgroup_of_its_name_untouched(self, stage: Stage) -> None:
        """In each hierarchy: the stranger's stays, and ours of the others go."""
        placement = stage.place()
        for path in dict.fromkeys(placement.paths.values()):
            stage.make_foreign(path)
            inode = os.stat(path).st_ino
            ctx = RecordingContext()
            with pytest.raises(AlreadyExists):
                stage.create(ctx=ctx)
            stage.end_processes()
            stage.manager.destroy(placement, ctx.effects)
            assert os.path.isdir(path), f"{path} was somebody else's, and was removed"
            assert os.stat(path).st_ino == inode, f"{path} was somebody else's, and was replaced"
            stage.files.rmdir(path)
            others = [other for other in placement.paths.values() if os.path.lexists(other)]
            assert not others, f"left behind: {others}"

    def test_a_second_container_of_the_same_cgroup_is_refused(self, stage: Stage) -> None:
        """Two runtimes may be asked for the same path; the first keeps it, with its processes."""
        made = stage.create()
        inside = stage.join(made)
        second = RecordingContext()
        with pytest.raises(AlreadyExists):
            stage.create(ctx=second)
        stage.manager.destroy(made.placement, second.effects)
        assert inside.alive and inside.pid in stage.manager.processes(made.placement), (
            "the first container lost its process"
        )

    @pytest.mark.parametrize("lost", [False, True], ids=["after", "before"])
    def test_create_that_is_killed_at_any_moment_can_be_undone(self, stage: Stage, lost: bool) -> None:
        """kill -9 after, or just before, each record of the journal: ``destroy`` finds all and nothing else."""
        moment = 0
        while True:
            moment += 1
            ctx = RecordingContext(kill_at=moment, lost=lost)
            try:
                made = stage.create(moment, ctx)
            except Killed:
                made = None
            stage.end_processes()
            placement = stage.place(moment)
            stage.manager.destroy(placement, ctx.effects)
            announced = [name for effect in ctx.all_effects for name in names_of(effect)]
            left = {path for path in [*placement.paths.values(), *announced] if os.path.lexists(path)}
            assert not left, f"killed at event {moment}, destroy left {sorted(left)}"
            if made is not None:
                return

    def test_create_works_again_after_destroy(self, stage: Stage) -> None:
        """An id may be used again as soon as its container is deleted."""
        for _ in range(2):
            made = stage.create()
            stage.end_processes()
            stage.manager.destroy(made.placement, made.ctx.effects)
        assert not stage.left(made)


def _parents(path: str) -> list[str]:
    """The directories above one, but for the root."""
    found = []
    while (path := os.path.dirname(path)) != "/":
        found.append(path)
    return found
