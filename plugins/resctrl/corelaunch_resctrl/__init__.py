"""Intel RDT manager ``resctrl`` of corelaunch; see the README for what it can do (nothing, in this release)."""
