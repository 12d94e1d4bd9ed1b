"""The first plugin of docs/plugin-authors.md, on the bundle that ``corelaunch spec`` writes, by the page's lines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Cli, make_rootfs
from plugin_site import Site

from corelaunch.api import cgroup_hierarchies

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.timeout(120),
    pytest.mark.skipif(all(h.version == 1 for h in cgroup_hierarchies()), reason="this host lacks cgroup v2"),
]

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs/plugin-authors.md").read_text()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    site = Site(tmp_path / "site")
    code = (CHECKOUT / "examples/corelaunch-flat/corelaunch_flat.py").read_text()
    site.add("flat", code, group="cgroup_managers")
    cli = Cli(str(site.program), tmp_path / "root", f"cl-fp-{os.getpid()}")
    yield cli
    cli.delete_all()


def test_the_pages_steps_work_on_the_bundle_of_spec_and_without_the_third_the_error_says_what_to_leave_out(
    cli: Cli, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    make_rootfs(bundle / "rootfs")
    cli.ok("spec", "--bundle", str(bundle), options=())
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/echo", "hello"])
    (bundle / "config.json").write_text(json.dumps(config))
    run, flat = ("run", "--bundle", str(bundle), cli.new_id()), ("--cgroup-manager", "flat")
    for verb in (run, ("plan", *run[1:])):
        refused = cli(*verb, options=flat)
        why = "linux.resources.devices: cgroup manager 'flat' does not claim 'limits' (leave it out of the config"
        assert (refused.code, why in refused.err) == (1, True), refused.err
    (line,) = re.findall(r"^python3 -c '.*$", PAGE, re.MULTILINE)
    subprocess.run(line.replace("BUNDLE", str(bundle)), shell=True, check=True)
    assert cli.ok(*run, options=flat) == "hello\n"
