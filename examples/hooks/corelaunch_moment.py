"""Bundles come from one directory, or there is no container."""

import os

import corelaunch.api as api

corelaunch_api = 1

BUNDLES = "/var/lib/bundles/"


@api.hookimpl
def corelaunch_moment(moment):
    if moment.name == "creating" and not os.path.realpath(moment.bundle).startswith(BUNDLES):
        raise api.ConfigError("not allowed", where=moment.bundle, why=f"bundles come from {BUNDLES}")
