"""Plugins: found by their entry points, chosen by name, imported only when chosen, failures remembered."""
