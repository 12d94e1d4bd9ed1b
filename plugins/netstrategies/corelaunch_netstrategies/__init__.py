"""Network strategies of corelaunch: one module per type, named by the entry point that chooses it."""
