"""``corelaunch doctor`` looks for what the plugin needs."""

import os

import corelaunch.api as api

corelaunch_api = 1

BUNDLES = "/var/lib/bundles"


@api.hookimpl
def corelaunch_doctor():
    if os.path.isdir(BUNDLES):
        return [api.DoctorCheck("bundles", "ok", BUNDLES)]
    return [api.DoctorCheck("bundles", "fail", f"{BUNDLES} is not there", hint=f"mkdir -m 0755 {BUNDLES}")]
