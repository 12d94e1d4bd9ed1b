"""Promises of an RDT manager about refusals: whose words are quoted, who is named, and that nothing is left."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import errno
import os
from contextlib import suppress

import pytest

from corelaunch.api import CorelaunchError, KernelError, RdtRequest

from .context import RecordingContext
from .rdt_stage import Stage

#: What somebody else's failed command leaves in info/last_cmd_status.
STALE = "Unknown or unsupported resource name 'STALE'"


class Refusing:
    """The kernel's words are quoted where they are about the command that failed, and nowhere else."""

    def test_set_that_is_refused_says_why_in_the_kernels_words(self, stage: Stage) -> None:
        stage.need("schemata")
        made = stage.create()
        before = stage.files.read(f"{made.placement.clos}/schemata")
        wrong = RdtRequest(made.request.container_id, schemata=(stage.smaller(), "NONE:0=1"))
        with pytest.raises(KernelError, match="Unknown or unsupported resource name 'NONE'") as caught:
            stage.manager.set(made.placement, wrong)
        assert (caught.value.errno, caught.value.where) == (errno.EINVAL, f"{made.placement.clos}/schemata")
        assert stage.files.read(f"{made.placement.clos}/schemata") == before, "half of it was written"

    def test_the_last_of_two_values_for_a_domain_is_set(self, stage: Stage) -> None:
        """``schemata`` comes after ``l3CacheSchema`` and wins; in one write the kernel takes a domain only once."""
        stage.need("schemata")
        request = stage.request(schemata=(stage.line(), stage.smaller()))
        made = stage.create(request)
        stage.manager.set(made.placement, request)
        resource = stage.smaller().partition(":")[0]
        assert stage.in_force(made.placement.clos, resource) == stage.meant(stage.smaller())

    @pytest.mark.parametrize("named", [False, True], ids=["of its own", "with a closID"])
    def test_a_launch_with_wrong_schemata_leaves_nothing(self, stage: Stage, named: bool) -> None:
        stage.need("schemata")
        before = stage.files.children(stage.root)
        request = stage.request(clos_id="cl-rdt-wrong" if named else "", schemata=("NONE:0=1",))
        ctx = RecordingContext(request.container_id)
        with pytest.raises(CorelaunchError, match="NONE"):
            placement = stage.place(request)
            try:
                stage.manager.create(placement, request, ctx)
                stage.manager.set(placement, request)
            finally:
                stage.manager.destroy(placement, ctx.effects)
        assert stage.files.children(stage.root) == before

    def test_no_free_closid_is_an_error_with_the_kernels_words(self, stage: Stage) -> None:
        stage.fill()
        before = stage.files.children(stage.root)
        with pytest.raises(KernelError, match="Out of CLOSIDs") as caught:
            stage.create()
        assert caught.value.errno == errno.ENOSPC
        assert stage.files.children(stage.root) == before

    def test_no_free_closid_names_who_has_them(self, stage: Stage) -> None:
        names, subject = stage.fill(), stage.subject()
        stage.files.write(f"{stage.root}/{names[0]}/tasks", f"{subject.pid}\n")
        with pytest.raises(KernelError) as caught:
            stage.create()
        assert [name for name in names if name not in caught.value.hint] == [], caught.value.hint
        assert str(subject.pid) in caught.value.hint, "a group is named without its process"

    def test_words_about_an_older_command_are_not_quoted(self, stage: Stage) -> None:
        """A group that is gone: the kernel does not come as far as clearing what it said before."""
        stage.need("schemata")
        made, subject = stage.create(), stage.subject()
        stage.files.rmdir(made.placement.clos)
        self._leave_words(stage)
        request = RdtRequest(made.request.container_id, schemata=(stage.smaller(),))
        with pytest.raises(KernelError) as refused_set:
            stage.manager.set(made.placement, request)
        with pytest.raises(KernelError) as refused_process:
            stage.manager.add_process(made.placement, subject.handle)
        texts = [str(refused_set.value), str(refused_process.value)]
        assert "STALE" not in " ".join(texts), "these are somebody else's words"

    def test_words_about_a_group_are_quoted_without_those_before(self, stage: Stage) -> None:
        """``mkdir`` adds to what the kernel said before."""
        stage.fill()
        self._leave_words(stage)
        with pytest.raises(KernelError, match="Out of CLOSIDs") as caught:
            stage.create()
        assert "STALE" not in str(caught.value), "these are somebody else's words"

    def test_a_group_that_was_removed_underneath_is_not_made_again(self, stage: Stage) -> None:
        made, subject = stage.create(), stage.subject()
        stage.files.rmdir(made.placement.clos)
        with pytest.raises(KernelError):
            stage.manager.add_process(made.placement, subject.handle)
        assert not os.path.lexists(made.placement.clos), "made again, with other schemata and without a record"
        stage.manager.destroy(made.placement, made.ctx.effects)

    def _leave_words(self, stage: Stage) -> None:
        with suppress(OSError):
            stage.files.write(f"{stage.root}/schemata", "STALE:0=1\n")
        assert STALE in stage.files.read(f"{stage.root}/info/last_cmd_status")
