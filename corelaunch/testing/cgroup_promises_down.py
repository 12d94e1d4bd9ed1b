"""Promises of a cgroup manager on the way down: all of ours goes, from the journal alone, and nothing else."""

from __future__ import annotations

import os
from contextlib import suppress

from corelaunch.api import KernelError

from .cgroup_stage import Stage


class ComingDown:
    """``destroy``."""

    def test_destroy_leaves_nothing(self, stage: Stage) -> None:
        """Neither a cgroup of the placement nor anything else that was announced."""
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert not stage.left(made), f"left behind: {stage.left(made)}"

    def test_destroy_twice_is_harmless(self, stage: Stage) -> None:
        """A ``delete`` that was killed is tried again."""
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert not stage.left(made)

    def test_plain_directories_are_all_that_has_to_go(self, stage: Stage) -> None:
        """Core removes them itself, newest first, when nobody is inside any more; nothing is left then."""
        stage.need("plain-directories")
        made = stage.create()
        stage.end_processes()
        for effect in sorted(made.ctx.effects, key=lambda effect: -effect.number):
            plain = effect.done and list(effect.args) == ["path"] and {"dev", "ino"} <= set(effect.facts)
            assert plain, f"not made by LaunchContext.directory: {effect}"
            stage.files.rmdir(effect.args["path"])
        assert not stage.left(made), f"left behind: {stage.left(made)}"
        stage.manager.destroy(made.placement, made.ctx.effects)

    def test_destroy_goes_by_the_effects_alone(self, stage: Stage) -> None:
        """Where nothing was announced nothing is ours, whatever the placement says."""
        made = stage.create()
        if not stage.makes_units:  # a unit goes by itself with its last process
            stage.end_processes()
        stage.manager.destroy(made.placement, [])
        missing = [path for path in made.directories if not os.path.isdir(path)]
        assert not missing, f"removed without an effect that says it is ours: {missing}"
        assert made.first is None or not stage.makes_units or made.first.alive, "its process was killed"

    def test_destroy_does_not_say_that_it_is_done_while_something_is_left(self, stage: Stage) -> None:
        """Of a cgroup that is busy: the record goes with an answer, and stays with an error."""
        made = stage.create()
        stage.join(made)
        try:
            stage.manager.destroy(made.placement, made.ctx.effects)
        except KernelError as error:
            assert error.errno and error.where, f"without errno or path: {error!r}"
        else:
            assert not stage.left(made), f"no error, and left behind: {stage.left(made)}"

    def test_destroy_leaves_siblings_whose_names_begin_alike(self, stage: Stage) -> None:
        """Of another container, whose id is longer."""
        made = stage.create()
        if stage.makes_units:  # whose manager trims, with the last unit, what is empty beside it
            stage.end_processes()
            stage.lose(made)
        for path in made.directories:
            stage.make_foreign(f"{path}0")
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        missing = [path for path in made.directories if not os.path.isdir(f"{path}0")]
        for path in made.directories:
            with suppress(FileNotFoundError):
                stage.files.rmdir(f"{path}0")
        assert not missing, f"removed, though it is somebody else's: the siblings of {missing}"

    def test_destroy_removes_what_the_container_nested_inside(self, stage: Stage) -> None:
        """Three deep, in every hierarchy."""
        made = stage.create()
        for path in made.directories:
            for below in ("a", "a/b", "a/b/c", "d"):
                stage.files.mkdir(f"{path}/{below}")
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert not stage.left(made), f"left behind: {stage.left(made)}"

    def test_destroy_in_a_later_process_needs_only_the_journal(self, stage: Stage) -> None:
        """Placement and effects as JSON; a manager that remembers something else finds nothing."""
        later = stage.later_process()
        made = stage.create()
        subject = stage.join(made)
        pids, error = later.processes_then_destroy(made.placement, made.ctx.effects)
        assert error == ""
        assert subject.pid in pids, f"the later process does not see {subject.pid} in the cgroup: {pids}"
        assert not stage.left(made), f"left behind: {stage.left(made)}"

    def test_destroy_leaves_a_foreign_cgroup_that_took_the_name_since(self, stage: Stage) -> None:
        """Same path, other inode: ours went some other way."""
        made = stage.create()
        held = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in made.directories]  # or the inode is used again
        stage.end_processes()
        stage.lose(made)
        for path in made.directories:
            stage.make_foreign(path)
        stage.manager.destroy(made.placement, made.ctx.effects)
        missing = [path for path in made.directories if not os.path.isdir(path)]
        for fd in held:
            os.close(fd)
        assert not missing, f"removed, though it was somebody else's: {missing}"

    def test_destroy_leaves_processes_of_an_unconfirmed_cgroup_alone(self, stage: Stage) -> None:
        """Announced, killed before mkdir, then a stranger made it and lives there."""
        made = stage.create()
        stranger = stage.join(made)
        if made.first is not None:
            made.first.end()
        unconfirmed = [effect.replace(done=False, facts={}) for effect in made.ctx.effects]
        # An error is fine as well: the record then stays, as for everything that is busy.
        with suppress(KernelError):
            stage.manager.destroy(made.placement, unconfirmed)
        assert stranger.alive, "destroy killed a process of a cgroup that was never confirmed to be ours"
        assert stranger.pid in stage.manager.processes(made.placement), "destroy moved a stranger's process"
