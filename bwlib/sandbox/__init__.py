"""What stands in for Bandwidth on this machine: its APIs, its SIP edge, its webhooks and BXML.

`bwlib.sandbox.control` is the way in. Everything listens on loopback only, nothing leaves the machine, and where
Bandwidth's public sources are silent or disagree, the answer is a named switch (`bwlib.sandbox.switches`).

Not imitated: the PSTN (a credential without an application, a call to a number), the Registrar (devices that register
at a realm), sites and SIP peers, voice configuration packages, inbound SIP URIs, the account-level /sipcredentials,
messaging, call queues and rate limits, conferences, transfers, streams, transcriptions, mp3, answering machine
detection, TCP, TLS and SRTP at the edge, and how long anything takes.
"""
