"""What create and exec both take from a config beside its check and plan: the edited config, and the seccomp filter."""

from __future__ import annotations

from .spec.bundle import load as load_bundle
from .spec.findings import Findings
from .spec.process import check as check_as_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .container import Container


def config_of(container: Container) -> Mapping[str, Any]:
    """The config.json of an existing container's bundle as it is now, with the edits of its lifecycle plugins.

    Raises:
        ConfigError, KernelError: the bundle is gone, cannot be read, or was spoilt since.
    """
    config = load_bundle(container.bundle).config
    _check_again(config)
    if container.ledger.edits:
        from .adjustment import replayed

        return replayed(config, container.ledger.edits)
    return config


def _check_again(config: Mapping[str, Any]) -> None:
    """Check what exec takes from a config: the bundle is its owner's, who may have changed it since create."""
    findings = Findings("config.json")
    for member, needed in (("process", True), ("linux", False)):
        value = config.get(member)
        if not isinstance(value, dict) and (needed or value is not None):
            findings.refuse(((), member), "must be an object")
    check_as_part(config["process"], ((), "process"), findings)


def process_of(container: Container, process: Mapping[str, Any]) -> Mapping[str, Any]:
    """A checked process that is to be executed in a container, with the edits that hold for each of its processes.

    Raises:
        ConfigError: a process cannot be edited so.
    """
    if container.ledger.edits:
        from .adjustment import replayed_process

        return replayed_process(process, container.ledger.edits)
    return process


def compiled_seccomp(config: Mapping[str, Any]) -> tuple[bytes, int] | None:
    """The config's seccomp profile as BPF and flags, None without one."""
    profile = (config.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from .kernel import seccomp

    return seccomp.compile(profile)
