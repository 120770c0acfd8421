"""So many requests of one account in a second, as a switch says."""

from __future__ import annotations

import time
from collections import defaultdict, deque

RETRY_AFTER = {"Retry-After": "1"}  # seconds


class RateLimit:
    """Counts the requests of the last second, account by account, in memory."""

    def __init__(self) -> None:
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    def reached(self, account_id: str, per_s: float) -> bool:
        """Whether one more would be too many; counts it when not. per_s 0: there is no limit."""
        if per_s <= 0:
            return False
        times, now = self._times[account_id], time.monotonic()
        while times and times[0] <= now - 1:
            times.popleft()
        if len(times) >= per_s:
            return True
        times.append(now)
        return False
