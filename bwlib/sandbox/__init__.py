"""What stands in for Bandwidth on this machine: its APIs, its SIP edge, its webhooks and BXML.

`bwlib.sandbox.control` is the way in. Everything listens on loopback only, nothing leaves the machine, and where
Bandwidth's public sources are silent or disagree, the answer is a named switch (`bwlib.sandbox.switches`).

One sandbox holds several accounts that see nothing of each other (`Sandbox.account(name)`). What is covered, route by
route, and what is not: docs/sandbox-coverage.md, made from the code (`bwlib.sandbox.coverage`).
"""
