"""``corelaunch features`` says that this site's policy is in force."""

import corelaunch.api as api

corelaunch_api = 1


@api.hookimpl
def corelaunch_features():
    return {"org.example.policy": "2026-11"}
