"""The PBXs that there is a settings sheet for: one row here, one template in bwlib/pbx/sheets/<name>.txt.

`rests_on` says how sure a sheet is, in the marks that its lines have too: [ran] was seen working, [doc] was read in the
public documents named, [mem] is general knowledge that nobody has checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from bwlib.errors import SettingsError


@dataclass(frozen=True)
class Product:
    """name: as --pbx takes it. label: the vendor's. rests_on: each mark with what is behind it.

    authenticates: whether it can authenticate outbound without registering, which is what the guide asks for.
    xml: the sheet's snippets are XML, in which a $ begins a variable.
    """

    name: str
    label: str
    rests_on: str
    authenticates: bool = True
    xml: bool = False


_ROWS = (
    Product("any", "Any PBX", "[doc] RFC 3261, 3263, 4733; Bandwidth's pages sipRegistrar and inbound-sip-uri"),
    Product("asterisk", "Asterisk 16 and newer (res_pjsip)", "[ran] calls both ways, heard, with these lines"),
    Product(
        "freepbx",
        "FreePBX 16 and 17 (pjsip)",
        "[ran] fields, order and a call on FreePBX 17.0.28; [doc] 16 by its published source",
    ),
    Product(
        "freeswitch",
        "FreeSWITCH",
        "[doc] developer.signalwire.com, Sofia Gateway Authentication Params; lines marked [mem] are not from there",
        xml=True,
    ),
    Product(
        "kamailio", "Kamailio", "[ran] calls both ways, heard, with these lines on Kamailio 5.6.3, HA1 and password"
    ),
    Product(
        "opensips",
        "OpenSIPS 3.x",
        "[doc] opensips.org, modules uac and uac_auth; lines marked [mem] are not from there; none was loaded",
    ),
    Product(
        "cube",
        "Cisco CUBE (IOS XE)",
        "[doc] authentication and realm: Cisco's SIP configuration guide (SIP AAA), afterthenumber.com 2016-03-17; "
        "[mem] every other line",
    ),
    Product(
        "3cx",
        "3CX",
        "[doc] 3cx.com, sip-trunk-registration-authentication and -options; lines marked [mem] are not from there",
        authenticates=False,
    ),
    Product(
        "yeastar",
        "Yeastar P-Series",
        "[doc] help.yeastar.com, P-Series, SIP trunk settings; lines marked [mem] are not from there",
        authenticates=False,
    ),
    Product(
        "grandstream", "Grandstream UCM6300", "[doc] the menu path: docs.didlogic.com, CloudUCM; [mem] all the rest"
    ),
    Product(
        "issabel",
        "Issabel (chan_sip trunk)",
        "[mem] all of it; [doc] a relative of it documents the same page (documentation.emetrotel.com)",
    ),
)

PRODUCTS = {row.name: row for row in _ROWS}


def product(name: str) -> Product:
    """The row of this name. Raises SettingsError, which names those that there are."""
    if name not in PRODUCTS:
        raise SettingsError(
            f"write a settings sheet for {name[:40]!r}", "there is none", f"use one of {', '.join(PRODUCTS)}"
        )
    return PRODUCTS[name]
