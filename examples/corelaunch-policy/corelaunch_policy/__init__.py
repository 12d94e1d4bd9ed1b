"""Refuses containers by the rules of a TOML file, and says why."""
