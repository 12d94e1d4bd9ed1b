"""Entry of the command `corelaunch`: the static front runs this file with ``python3 -I -S``.

Python compiles this file anew each time, so it is short: it puts the directory that this package is installed in
behind the standard library, and goes on in ``isolated``.
"""

import sys

if __name__ == "__main__":
    site = __file__.rpartition("/corelaunch/")[0]
    sys.path.append(site)

    from corelaunch.isolated import start

    start([site], packed=True)
