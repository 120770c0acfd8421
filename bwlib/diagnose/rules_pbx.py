"""The rows about the PBX: trunk, outbound route, extension, phone."""

from __future__ import annotations

from bwlib.diagnose.row import IN, NB30, NOT_HEARD, OUT, OUT_NOT_SENT, OUT_REFUSED, PHONE, REFUSED, TALK, read

TRUNK = (
    read(
        "pbx-unreachable", "The PBX does not answer where the site file says that it can be configured",
        {"probe.pbx": ("unreachable", "no-answer")},
        "start the PBX, and check the address of its manager interface (FreePBX: of its pages) in the site file",
        "firewall", {**OUT, **IN, "phone.register": ("silent",)},
    ),
    read(
        "pbx-refuses", "The PBX refuses to be read", {"probe.pbx": ("refused",)},
        "check user and secret of the manager interface (FreePBX: of the login) in the site file, and their rights",
        "no callbacks",
    ),
    read("no-trunk", "There is no trunk of the site's name on the PBX", {"trunk": ("absent",)}, "make it: " + NB30,
          "no callbacks", {**OUT, **IN}, "trunk"),
    read(
        "reload-pending", "The PBX's files say something that is not in force", {"pbx.pending": ("yes",)},
        "reload the PBX's configuration (core reload; FreePBX: Apply Config)", "no callbacks", {**OUT, **IN},
    ),
    read(
        "realm-unresolved", "The trunk's server is a name that does not resolve, and nothing else says where to send",
        {"trunk.resolves": ("no",), "trunk.needs_dns": ("yes",)},
        "correct the name; wait if the realm is new; on the sandbox give the trunk its outbound proxy", "firewall",
        OUT_NOT_SENT, "trunk",
    ),
    read(
        "qualify-dead", "The trunk's qualify found nobody, so that the PBX sends no INVITE at all",
        {"trunk.contact": ("unavailable",)},
        "set qualify to 0 on the trunk; then mend what made it fail (address, port, firewall)", "firewall",
        OUT_NOT_SENT, "trunk",
    ),
    read(
        "wrong-realm-host", "The trunk sends its calls to another realm", {"trunk.server": ("differs",)},
        "set the trunk's SIP server to the realm's FQDN", "no callbacks", OUT, "trunk",
    ),
    read(
        "wrong-proxy", "The trunk sends its packets to another place than the realm",
        {"trunk.outbound_proxy": ("differs",), "trunk.needs_dns": ("no",)},
        "correct the trunk's outbound proxy, or its port", "firewall", OUT_NOT_SENT, "trunk",
    ),
    read(
        "port-fixed", "The trunk's port is not the one in the realm's SRV record", {"trunk.port.srv": ("differs",)},
        "leave the port empty, so that SRV decides", "firewall", OUT_NOT_SENT, "trunk",
    ),
    read(
        "no-outbound-auth", "The trunk has no outbound authentication", {"trunk.outbound_auth": ("absent",)},
        "give it the credential's user name and password as outbound authentication", "no callbacks", OUT, "trunk",
    ),
    read(
        "pinned-realm", "The trunk answers challenges of another realm only (realm= on its authentication)",
        {"trunk.auth_realm": ("differs",)}, "take realm= out, or set it to the realm's FQDN", "no callbacks", OUT,
        "trunk",
    ),
    read(
        "wrong-username", "The trunk's user name is not the credential's", {"trunk.username": ("differs",)},
        "set it to the credential's user name, capitals included", "no callbacks", OUT_REFUSED, "trunk",
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
        "wrong-password", "The trunk's password is not the SIP URI's, as the site file refers to it",
        {"trunk.secret": ("differs",), "sip_uri": ("enabled",)},
        "set it to the SIP URI's password", "no callbacks", OUT_REFUSED, "trunk",
    ),
    read(
        "foreign-caller-id", "The trunk's caller id is no number of this site in +E.164",
        {"trunk.from_user": ("not-e164", "other-number")},
        "set From user on the trunk to the site's number in +E.164", "caller id",
        {**OUT_REFUSED, "outward.caller": ("differs",)}, "trunk",
    ),
    read(
        "from-domain", "The trunk's From domain is not the realm", {"trunk.from_domain": ("differs",)},
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
        {"trunk.codecs": ("no-g711",)}, "allow ulaw (and alaw) on the trunk", "firewall", {**OUT, **IN}, "trunk",
    ),
    read(
        "dtmf-mode", "The trunk sends digits in another way than RFC 4733", {"trunk.dtmf": ("differs",)},
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
        {"outward.sdp": ("elsewhere",), "outward.heard": NOT_HEARD},
        "correct the media address (media_address on the trunk, external_media_address on the transport; FreePBX: "
        "Asterisk SIP Settings, External Address)", "firewall", TALK, "trunk",
    ),
    read(
        "no-identify", "The PBX does not admit Bandwidth's addresses to the trunk",
        {"trunk.bandwidth_ips": ("differs",)},
        "let the trunk match Bandwidth's SIP addresses (identify; FreePBX: Match (Permit))", "firewall", IN, "trunk",
    ),
    read(
        "unknown-inbound", "Calls that come in by the trunk do not lead to the site's extension",
        {"trunk.inbound_extension": ("differs",)},
        "let the trunk's inbound context dial the extension", "no callbacks", IN, "trunk",
    ),
    read(
        "transfers-on", "The far end may send the trunk's calls on to numbers of its choice",
        {"trunk.transfers": ("differs",)}, "switch transfers off on the trunk", "caller id", {}, "trunk",
    ),
)

ROUTE = (
    read("no-route-object", "There is no outbound route of the site's name", {"route": ("absent",)},
          "make it: " + NB30, "no callbacks", OUT_NOT_SENT, "route"),
    read(
        "no-route", "The dialled number fits no pattern of the outbound route", {"route.matches": ("no",)},
        "correct the route's pattern, or dial a number that fits", "caller id", OUT_NOT_SENT, "route",
    ),
    read(
        "route-trunk", "The outbound route uses another trunk", {"route.trunk": ("differs",)},
        "let the route use the site's trunk", "no callbacks", OUT, "route",
    ),
    read(
        "route-caller-id", "The outbound route sets a caller id that is not the site's number",
        {"route.caller_id": ("differs",)}, "set the route's caller id to the site's number in +E.164", "caller id",
        {**OUT_REFUSED, "outward.caller": ("differs",)}, "route",
    ),
    read(
        "route-request-uri", "The outbound route sends its calls to another Request-URI than this site's",
        {"route.request_uri": ("differs",)},
        "correct the URI in the route's Dial: the application's SIP URI, or with a realm the dialled number",
        "no callbacks", OUT, "route",
    ),
    read(
        "route-number-header", "The outbound route does not say the dialled number in X-Dialed-Number",
        {"route.number_header": ("differs",)},
        "let the route set the header: a call to a SIP URI does not say the number otherwise", "no callbacks",
        {"outward.webhook": ("none",)}, "route",
    ),
    read("no-extension", "There is no extension of the site's number on the PBX", {"extension": ("absent",)},
          "make it: " + NB30, "no callbacks", {**PHONE, **IN}, "extension"),
    read(
        "extension-route", "The extension does not dial by the site's route", {"extension.route": ("differs",)},
        "give the extension the route", "no callbacks", OUT_NOT_SENT, "extension",
    ),
    read(
        "phone-password", "The extension's secret on the PBX is not the phone's", {"extension.secret": ("differs",)},
        "give the PBX and the phone the same secret", "no callbacks", {**PHONE, **IN}, "extension",
    ),
    read(
        "extension-takes-no-phone", "The extension takes no registration: no phone can be there",
        {"extension.registrable": ("no",)}, "let it take one contact (max_contacts=1)", "no callbacks", {**PHONE, **IN},
    ),
    read(
        "phone-codec", "The extension allows no G.711 codec", {"extension.codecs": ("no-g711",)},
        "allow ulaw and alaw on the extension", "firewall", {**OUT_NOT_SENT, **IN}, "extension",
    ),
    read(
        "stale-contact", "The extension's phone is gone: its registration is stored, and nobody answers there",
        {"extension.contact": ("silent",)},
        "register the phone again, or wait until the registration ends; qualify_frequency on the extension shows it "
        "sooner", "firewall", IN,
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
