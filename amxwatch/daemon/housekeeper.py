"""Keep house while the daemon has nothing else to do."""

from __future__ import annotations

import logging

from amxwatch.core.errors import StoreError
from amxwatch.daemon.wiring import Install
from amxwatch.flows.housekeeping import House

log = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
EVERY_SECONDS = 3600.0


async def keep_house(install: Install) -> None:
    """Forget what `[retention]` no longer keeps: soon after the start, then once an hour."""
    await install.clock.sleep(FIRST_SECONDS)
    while True:
        house = House(
            install.ledger,
            install.clock,
            install.settings.retention,
            is_idle=lambda: install.engine.is_idle,
        )
        try:
            kept = await house.keep()
        except StoreError as error:  # busy, or a full disk: the next round tries again
            log.warning(str(error), extra={"action": "store_failed"})
        else:
            if kept.is_news:
                log.info("House was kept", extra={"action": "house_kept", **kept.forgotten})
        await install.clock.sleep(EVERY_SECONDS)
