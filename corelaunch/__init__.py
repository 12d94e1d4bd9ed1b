"""corelaunch: an OCI container runtime whose backends are plugins. The Python API is ``corelaunch.runtime.Runtime``."""

__version__ = "0.1.0"

#: The runtime-spec whose config.json we read and whose state we print.
SPEC_VERSION = "1.2.0"
