"""Intel RDT manager ``resctrl`` of corelaunch: cache and memory bandwidth through the resctrl filesystem."""
