"""The rows about the PBX: trunk, outbound route, extension, phone; and where nothing was set up at all."""

from __future__ import annotations

from bwlib.diagnose.row import (
    ACCOUNT_FAILS,
    FAILED,
    IN,
    IN_TURNED_AWAY,
    NB10,
    NB30,
    OUT,
    OUT_NOT_SENT,
    OUT_REFUSED,
    OUT_TURNED_AWAY,
    PHONE,
    REFUSED,
    TALK,
    read,
)

SET_UP = (
    read(
        "nothing-set-up", "Nothing of this site is set up yet, neither at Bandwidth nor on the PBX",
        {
            "trunk": ("absent",), "route": ("absent",), "extension": ("absent",), "application": ("absent",),
            "realm": ("absent", "unknown"),
        },
        f"start with {NB10}, then 20 and 30; unattended: bw-runbook run SITE.toml", "no callbacks",
        {**OUT, **PHONE, **IN, **ACCOUNT_FAILS}, "application",
        ("no-application", "no-realm", "no-credential", "sip-uri-off", "no-trunk", "no-route-object", "no-extension"),
    ),
)

TRUNK = (
    read(
        "pbx-unreachable",
        "The PBX's manager interface (FreePBX: its pages) does not answer at its address",
        {"probe.pbx": ("unreachable", "no-answer")},
        "start the PBX (the sandbox's: bw-runbook sandbox down, then up); check the address in the site file, and the "
        "firewall on the way to it",
        "firewall", {**OUT, **IN, "phone.register": ("silent",)},
    ),
    read(
        "pbx-refuses", "The PBX refuses the login of this runbook, or lets it read too little",
        {"probe.pbx": ("refused",)},
        "correct user and secret in the site file, and that user's rights in manager.conf (FreePBX: the login)",
        "no callbacks",
    ),
    read("no-trunk", "There is no trunk of the site's name on the PBX", {"trunk": ("absent",)}, "make it: " + NB30,
          "no callbacks", {**OUT, **IN}, "trunk"),
    read(
        "reload-pending", "The PBX has not loaded what its files say: a reload is pending", {"pbx.pending": ("yes",)},
        "reload the PBX's configuration (core reload; FreePBX: Apply Config)", "no callbacks", {**OUT, **IN},
    ),
    read(
        "realm-unresolved", "The trunk's server name does not resolve, and the trunk has no outbound proxy",
        {"trunk.resolves": ("no",), "trunk.needs_dns": ("yes",)},
        "correct the name; with a new realm wait for DNS; on the sandbox give the trunk its outbound proxy", "firewall",
        OUT_NOT_SENT, "trunk",
    ),
    read(
        "qualify-dead", "The trunk's qualify got no answer, so the PBX counts it as unreachable and sends no INVITE",
        {"trunk.contact": ("unavailable",)},
        "set qualify to 0 on the trunk, then correct what made it fail (address, port, firewall)", "firewall",
        OUT_NOT_SENT, "trunk",
    ),
    read(
        "wrong-realm-host", "The trunk sends its calls to another host than the realm's FQDN",
        {"trunk.server": ("differs",)},
        "set the trunk's SIP server to the realm's FQDN", "no callbacks", OUT, "trunk",
    ),
    read(
        "proxy-without-lr", "The trunk's outbound proxy lacks ;lr: calls arrive with the proxy as their Request-URI",
        {"trunk.proxy_lr": ("no",)}, "correct it to sip:HOST:PORT\\;lr (endpoint, and aor if it is there)",
        "no callbacks", OUT, "trunk", ("wrong-proxy",),
    ),
    read(
        "wrong-proxy", "The trunk's outbound proxy is not the one that leads to the realm",
        {
            "trunk.outbound_proxy": ("differs",), "trunk.needs_dns": ("no",),
            "outward.phone": ("not-answered", "unknown"),  # an answered call came by it to the application
        },
        "correct the trunk's outbound proxy, or its port", "firewall", OUT_NOT_SENT, "trunk",
    ),
    read(
        "port-fixed", "The trunk's port is not the one in the realm's SRV record", {"trunk.port.srv": ("differs",)},
        "leave the port empty, so that SRV decides", "firewall", OUT_NOT_SENT, "trunk",
    ),
    read(
        "no-outbound-auth", "The trunk has no outbound authentication", {"trunk.outbound_auth": ("absent",)},
        "give it the credential's user name and password as outbound authentication", "no callbacks", OUT_TURNED_AWAY,
        "trunk",
    ),
    read(
        "pinned-realm", "The trunk's authentication answers another realm's challenge only (realm= is set)",
        {"trunk.auth_realm": ("differs",)}, "remove realm= from the authentication, or set it to the realm's FQDN",
        "no callbacks", OUT_TURNED_AWAY, "trunk",
    ),
    read(
        "wrong-username", "The trunk's user name is not the credential's", {"trunk.username": ("differs",)},
        "set it to the credential's user name, with the same upper and lower case", "no callbacks", OUT_REFUSED,
        "trunk",
    ),
    read(
        "wrong-password", "The trunk's password is not the credential's",
        {
            "trunk.password": ("differs",), "trunk.secret": ("differs", "unknown"),
            "credential.password": ("as-wanted", "unknown"),
        },
        "set it to the credential's password", "no callbacks", OUT_REFUSED, "trunk",
    ),
    read(
        "wrong-password", "The trunk's password is not the one that the site file points to for the SIP URI",
        {"trunk.secret": ("differs",), "sip_uri": ("enabled",)},
        "set it to the SIP URI's password", "no callbacks", OUT_REFUSED, "trunk",
    ),
    read(
        "wrong-realm-in-hash",
        "The trunk's hashed password (md5_cred, password_digest) is over another realm than the FQDN",
        {"trunk.password": ("other-realm",)},
        "give the trunk the password itself, or the MD5 of user:FQDN:password", "no callbacks", OUT_REFUSED, "trunk",
    ),
    read(
        "hash-case", "The trunk's hashed password (md5_cred, password_digest) is written in upper-case letters",
        {"trunk.password": ("upper-case",)}, "spell it in lower case: the digest is computed with it as it is written",
        "no callbacks", OUT_REFUSED, "trunk",
    ),
    read(
        "foreign-caller-id", "The trunk's From user is not the site's number in +E.164",
        {"trunk.from_user": ("not-e164", "other-number")},
        "set From user on the trunk to the site's number in +E.164", "caller id",
        {**OUT_REFUSED, "outward.caller": ("differs",)}, "trunk",
    ),
    read(
        "from-domain", "The trunk's From domain is not the realm's FQDN", {"trunk.from_domain": ("differs",)},
        "set From domain to the realm's FQDN", "caller id", OUT_REFUSED, "trunk",
    ),
    read(
        "pai-sent", "The trunk sends P-Asserted-Identity, which the guide does not ask for",
        {"trunk.send_pai": ("differs",)}, "set send_pai to no on the trunk (FreePBX: Send RPID/PAI)", "caller id",
        {**OUT_REFUSED, "outward.caller": ("differs",)}, "trunk",
    ),
    read(
        "registration-on", "Registration is left on: the trunk registers at the realm",
        {"trunk.registration": ("on",)},
        "turn registration off (the trunk authenticates outbound only)", "no callbacks", {}, "trunk",
    ),
    read(
        "codec-mismatch", "The trunk offers no G.711 codec, and the realm takes no other",
        {"trunk.codecs": ("no-g711",)}, "allow ulaw (and alaw) on the trunk", "firewall",
        {**OUT_TURNED_AWAY, **IN_TURNED_AWAY}, "trunk",
    ),
    read(
        "dtmf-mode", "The trunk does not send DTMF as RFC 4733 events", {"trunk.dtmf": ("differs",)},
        "set the trunk's DTMF mode to rfc4733", "firewall",
        {"outward.digits": ("no",), "inward.digits": ("no",)}, "trunk",
    ),
    read(
        "nat-address", "The PBX names an address for its audio that is not its own", {"trunk.media": ("elsewhere",)},
        "correct the media address (media_address on the trunk, external_media_address on the transport; FreePBX: "
        "Asterisk SIP Settings, External Address)", "firewall", TALK, "trunk",
    ),
    read(
        "nat-address", "The PBX names an address for its audio that is not its own",
        {"outward.sdp": ("elsewhere",), "outward.heard": ("no",), "outward.rtp": ("none-in", "unknown")},
        "correct the media address (media_address on the trunk, external_media_address on the transport; FreePBX: "
        "Asterisk SIP Settings, External Address)", "firewall", TALK, "trunk",
    ),
    read(
        "no-identify", "The trunk does not match calls from Bandwidth's SIP addresses",
        {"trunk.bandwidth_ips": ("differs",)},
        "add Bandwidth's SIP addresses to the trunk (match= of its identify; FreePBX: Match (Permit))", "firewall", IN,
        "trunk",
    ),
    read(
        "other-endpoint", "Another trunk of the PBX takes Bandwidth's calls: it matches the same addresses",
        {"log.other-endpoint": ("said",), "inward.pbx": REFUSED},
        "remove Bandwidth's SIP addresses from that trunk (match= of its identify; FreePBX: Match (Permit))",
        "firewall", IN,
    ),
    read(
        "acl-bandwidth", "The trunk's access list keeps Bandwidth's calls out", {"log.acl-bandwidth": ("said",)},
        "let the access list pass Bandwidth's SIP addresses (deny, permit and acl of the trunk's endpoint, acl.conf)",
        "firewall", IN,
    ),
    read(
        "media-encryption", "The trunk demands encrypted media, which the guide does not ask for",
        {"trunk.encryption": ("on",), "outward.trunk": FAILED},
        "set media_encryption to no on the trunk (FreePBX: Media Encryption: None)", "firewall", {**OUT, **IN},
    ),
    read(
        "inbound-auth", "The trunk asks Bandwidth's calls for a password, and Bandwidth has none to answer with",
        {"trunk.inbound_auth": ("on",)},
        "remove auth= from the trunk's endpoint (FreePBX: Authentication: Outbound); Bandwidth is known by its address",
        "no callbacks", IN_TURNED_AWAY,
    ),
    read(
        "unknown-inbound", "Inbound calls on the trunk do not lead to the site's extension",
        {"trunk.inbound_extension": ("differs",), "extension": ("found", "unknown")},
        "let the trunk's inbound context dial the extension", "no callbacks", IN, "trunk",
    ),
    read(
        "inbound-lines", "The trunk's inbound dialplan is not as this runbook writes it: more may be reached there",
        {"trunk.inbound_extension": ("unread",)},
        "let the trunk's inbound context dial the extension, and nothing else", "no callbacks", {}, "trunk",
    ),
    read(
        "transfers-on", "The far end may transfer the trunk's calls to numbers of its choice (toll fraud)",
        {"trunk.transfers": ("differs",)}, "switch transfers off on the trunk", "caller id", {}, "trunk",
    ),
)

ROUTE = (
    read("no-route-object", "There is no outbound route of the site's name on the PBX", {"route": ("absent",)},
          "make it: " + NB30, "no callbacks", OUT_NOT_SENT, "route"),
    read(
        "no-route", "The dialled number matches no pattern of the outbound route",
        {"route.matches": ("no",), "route": ("found", "unknown"), "extension": ("found", "unknown")},
        "correct the route's pattern, or dial a number that matches", "caller id", OUT_NOT_SENT, "route",
    ),
    read(
        "route-trunk", "The outbound route uses another trunk", {"route.trunk": ("differs",)},
        "let the route use the site's trunk", "no callbacks", OUT, "route",
    ),
    read(
        "route-lines", "The outbound route's dialplan is not as this runbook writes it", {"route.lines": ("other",)},
        "compare the lines in the evidence with those of Apply (bw-runbook sheet SITE.toml --pbx asterisk)",
        "no callbacks", {}, "route",
    ),
    read(
        "route-caller-id", "The outbound route sets a caller id that is not the site's number",
        {"route.caller_id": ("differs",)}, "set the route's caller id to the site's number in +E.164", "caller id",
        {**OUT_REFUSED, "outward.caller": ("differs",)}, "route",
    ),
    read(
        "route-request-uri", "The outbound route sends its calls to another Request-URI than this site's road needs",
        {"route.request_uri": ("differs",)},
        "correct the URI in the route's Dial(): the application's SIP URI, or with a realm the dialled number",
        "no callbacks", OUT, "route",
    ),
    read(
        "route-number-header", "The outbound route does not send the dialled number in the header X-Dialed-Number",
        {"route.number_header": ("differs",)},
        "let the route add the header: nothing else tells the application which number was dialled", "no callbacks",
        {"outward.webhook": ("none",)}, "route",
    ),
    read("no-extension", "There is no extension of the site's number on the PBX", {"extension": ("absent",)},
          "make it: " + NB30, "no callbacks", {**PHONE, **IN}, "extension"),
    read(
        "extension-route", "The extension's calls do not use the site's outbound route",
        {"extension.route": ("differs",)},
        "let the extension dial in the route's context (Asterisk: context = bw-outbound-<route>; FreePBX: enable the "
        "route for it)", "no callbacks", OUT_NOT_SENT, "extension",
    ),
    read(
        "phone-password", "The extension's secret on the PBX is not the one that the site file points to",
        {"extension.secret": ("differs",)},
        "give the PBX and the phone the same secret", "no callbacks", {**PHONE, **IN}, "extension",
    ),
    read(
        "acl-phone", "The extension's access list keeps the phone out", {"log.acl-phone": ("said",)},
        "let the access list pass the phone's address (deny, permit and acl of the extension's endpoint, acl.conf)",
        "firewall", {**PHONE, **IN},
    ),
    *(
        read(
            "extension-dtmf", "The extension does not take DTMF as RFC 4733 events",
            {"extension.dtmf": ("differs",), f"{way}.digits": ("no",)},
            "set the extension's DTMF mode to rfc4733, and the phone's too", "firewall",
            {"outward.digits": ("no",), "inward.digits": ("no",)},
        )
        for way in ("outward", "inward")
    ),
    read(
        "extension-takes-no-phone", "The extension accepts no registration, so no phone can be reached there",
        {"extension.registrable": ("no",)}, "allow one contact on the extension (max_contacts=1)", "no callbacks",
        {**PHONE, **IN},
    ),
    read(
        "phone-codec", "The extension allows no G.711 codec", {"extension.codecs": ("no-g711",)},
        "allow ulaw and alaw on the extension", "firewall", {**OUT_NOT_SENT, **IN}, "extension",
    ),
    read(
        "stale-contact", "The extension's phone is gone: its registration is still stored, and nobody answers there",
        {"extension.contact": ("silent",)},
        "register the phone again, or wait until the registration expires; set qualify_frequency on the extension to "
        "notice it sooner", "firewall", IN,
    ),
    read(
        "extension-unregistered", "No phone is registered at the extension",
        {
            "extension.contact": ("none",), "inward.pbx": REFUSED, "inward.identified": ("yes",),
            "phone.register": ("unknown",), "trunk.inbound_extension": ("as-wanted", "unknown"),
        },
        "register the phone at the PBX (its number, the PBX's address, the extension's secret)", "no callbacks", IN,
    ),
)

# What Asterisk could not read is not there, and what is missing then needs no cause of its own. Below a line that is
# none anything may be missing; of a section that is refused only that section.
_BELOW_A_LINE = tuple(dict.fromkeys(rule.name for rule in (*TRUNK, *ROUTE)))
_OF_A_SECTION = ("reload-pending", "no-trunk", "no-extension", "wrong-realm-host", "no-identify", "no-outbound-auth")

CONFIG = (
    read(
        "config-unreadable", "The PBX cannot read its configuration: a line of it is none",
        {"pbx.config": ("unreadable",)},
        "correct that line (the log names file and number), reload, and look again: what stands below it was not read "
        "either", "no callbacks", {**OUT, **PHONE, **IN}, covers=_BELOW_A_LINE,
    ),
    read(
        "config-refused", "The PBX refuses a section of the site's: reloading it again does not help",
        {"pbx.config": ("refused",)},
        "correct what the log names (an option that this section has not, a value that it cannot have), reload, and "
        "look again", "no callbacks", {**OUT, **PHONE, **IN}, covers=_OF_A_SECTION,
    ),
)
