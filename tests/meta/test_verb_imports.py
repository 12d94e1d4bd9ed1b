"""The modules that each verb imports are pinned: a new one is a decision about the speed of every launch.

Modules and not milliseconds: the set is the same on every machine. A verb that needs another one gets it into its
list here, with a reason in the commit. What no verb of the launch path may import stands in FORBIDDEN.
"""

from __future__ import annotations

#: Costs more than it gives on the launch path (measured: 2 to 40 ms each).
FORBIDDEN = frozenset(
    "re typing enum inspect dataclasses attr attrs subprocess socket logging json argparse pathlib tempfile shutil "
    "functools contextlib collections importlib.metadata signal pluggy cffi pyroute2 asyncio".split()
)

#: What `python3 -I -S -X utf8` itself has imported is not the verb's doing; these are of the standard library.
STANDARD = frozenset(
    "_stat stat posixpath genericpath os os.path _collections_abc errno fcntl select struct _struct".split()
)
