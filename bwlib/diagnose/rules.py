"""The table: all rows, in the order in which a call meets their places. How a row is written: `row`."""

from __future__ import annotations

from bwlib.diagnose import rules_bandwidth, rules_call, rules_pbx
from bwlib.diagnose.row import Rule

RULES: tuple[Rule, ...] = (
    *rules_pbx.SET_UP,
    *rules_bandwidth.ACCOUNT,
    *rules_bandwidth.APPLICATION,
    *rules_bandwidth.CALLBACK,
    *rules_bandwidth.REALM,
    *rules_pbx.CONFIG,
    *rules_pbx.TRUNK,
    *rules_pbx.ROUTE,
    *rules_call.NETWORK,
    *rules_call.AUDIO,
    *rules_call.AFTERWARDS,
)
