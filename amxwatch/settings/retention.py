"""The `[retention]` table: how long what has been done is remembered."""

from __future__ import annotations

from amxwatch.settings.table import Table
from amxwatch.settings.value import Whole


class Retention(Table):
    """Ages in days and a size in MB; 0 is no limit. What is still needed is kept at any age."""

    replies_days: Whole = 180
    events_days: Whole = 730
    history_days: Whole = 730
    max_mb: Whole = 0
