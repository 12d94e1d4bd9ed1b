"""pyroute2 is loaded in part, and nobody who uses all of it notices."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    start = f"import sys; sys.path[:0] = {sys.path!r}\nfrom corelaunch_netstrategies import pyroute2_messages\n"
    done = subprocess.run([sys.executable, "-c", start + code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_loading_the_messages_leaves_the_rest_of_pyroute2_unloaded() -> None:
    code = "pyroute2_messages.load(); print(sorted({'asyncio', 'pyroute2.iproute', 'pyroute2.ndb'} & set(sys.modules)))"
    assert run(code) == "[]"


def test_importing_the_strategy_loads_no_pyroute2() -> None:
    assert run("import corelaunch_netstrategies.veth; print('pyroute2' in sys.modules)") == "False"


def test_all_of_pyroute2_is_there_for_whoever_asks_later() -> None:
    code = """
message = pyroute2_messages.load()[0]
import pyroute2
from pyroute2 import IPRoute, NetlinkError
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
assert ifinfmsg is message and pyroute2.IPRoute is IPRoute
with IPRoute() as route:
    print(route.get_links(1)[0].get_attr("IFLA_IFNAME"), pyroute2.__version__[:2])
"""
    assert run(code) == "lo 0."


def test_a_name_that_pyroute2_lacks_is_an_import_error_as_ever() -> None:
    code = """
pyroute2_messages.load()
try:
    from pyroute2 import NoSuchThing
except ImportError as error:
    print(error.name, error.msg.split(" (")[0])
"""
    assert run(code) == "pyroute2 cannot import name 'NoSuchThing' from 'pyroute2'"


def test_a_pyroute2_that_was_imported_before_is_used_as_it_is() -> None:
    code = """
import pyroute2
before = dict(vars(pyroute2))
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
print(pyroute2_messages.load()[1] is ifaddrmsg, dict(vars(pyroute2)) == before)
"""
    assert run(code) == "True True"


def test_a_missing_pyroute2_is_named() -> None:
    code = """
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
try:
    pyroute2_messages.load()
except ModuleNotFoundError as error:
    print(error.name, "pyroute2" in sys.modules)
"""
    assert run(code) == "pyroute2 False"
