"""Operating system services: one module a product, chosen by the platform.

A module has a pure function that makes the service's file out of a `ServicePlan`, and a class
that implements `ports.service.Service` by asking the system's own tools. It knows no setting
and no store. To add one, write `NAME.py` with a class made from `(plan, clock)`, add its
platform to `SERVICES`, and its file to `tests/core/test_services.py`.
"""

from __future__ import annotations

import importlib
import sys

from amxwatch.core.errors import ServiceError
from amxwatch.ports.clock import Clock
from amxwatch.ports.service import Service, ServicePlan

SERVICES = {
    "linux": "systemd:Systemd",
    "darwin": "launchd:Launchd",
    "win32": "task_scheduler:TaskScheduler",
}
"""`sys.platform` -> module and class. A module is imported only when it is used."""


def service_of(plan: ServicePlan, *, clock: Clock, platform: str = sys.platform) -> Service:
    """Return the service of this operating system. Raises: ServiceError where it has none."""
    if platform not in SERVICES:
        raise ServiceError(
            f"amxwatch knows no service manager of {platform}: keep `amxwatch daemon` running"
            " under your own, or have cron call `amxwatch schedule run-due --quiet`"
        )
    module, name = SERVICES[platform].split(":")
    made: Service = getattr(importlib.import_module(f"{__name__}.{module}"), name)(plan, clock)
    return made
