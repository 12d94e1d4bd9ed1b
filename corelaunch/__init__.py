"""corelaunch: an OCI container runtime whose backends are plugins. The Python API is ``corelaunch.runtime.Runtime``."""

__version__ = "0.1.0"
