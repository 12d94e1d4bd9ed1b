"""The read-only files below ``info`` of resctrl, as Linux 6.1 fills them."""

from __future__ import annotations

from collections.abc import Callable

from .resctrl_machine import Cache, Machine


def info_files(machine: Machine) -> dict[str, Callable[[], str]]:
    """Path below the root -> how it is read; ``last_cmd_status`` is the model's own."""
    texts: dict[str, str] = {}
    for one in machine.resources:
        if isinstance(one, Cache):
            values = {
                "bit_usage": ";".join(f"{domain}=S" for domain in one.domains),
                "cbm_mask": f"{one.mask:x}",
                "min_cbm_bits": str(one.least_bits),
                "shareable_bits": f"{one.shareable:x}",
            }
        else:
            values = {
                "bandwidth_gran": str(one.granularity),
                "delay_linear": "1",
                "min_bandwidth": str(one.minimum),
                "thread_throttle_mode": "max",
            }
        values["num_closids"] = str(machine.closids)
        texts.update({f"info/{one.name}/{name}": value for name, value in values.items()})
    if machine.rmids:
        texts["info/L3_MON/max_threshold_occupancy"] = "524288"
        texts["info/L3_MON/mon_features"] = "\n".join(machine.events)
        texts["info/L3_MON/num_rmids"] = str(machine.rmids)
    return {path: lambda text=text: f"{text}\n" for path, text in texts.items()}  # type: ignore[misc]
