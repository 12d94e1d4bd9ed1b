"""Second half of script/corelaunch-dev: the checkout's directories come before those of the environment."""

from __future__ import annotations

import glob
import sys

root = sys.argv.pop(1)
sys.path.append(root)

from corelaunch.isolated import start  # noqa: E402

sys.path.remove(root)
start([root, *sorted(glob.glob(f"{root}/plugins/*")), *glob.glob(f"{root}/.venv/lib/python3.*/site-packages")])
