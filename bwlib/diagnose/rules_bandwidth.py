"""The rows about Bandwidth's side: account, application, callback URL, realm, credential."""

from __future__ import annotations

from bwlib.diagnose import ladder
from bwlib.diagnose.row import (
    ACCOUNT_FAILS,
    CALLBACK_FAILED,
    NB10,
    NB20,
    OUT,
    OUT_REFUSED,
    OUT_TALK,
    OUT_TURNED_AWAY,
    UNANSWERED,
    Where,
    read,
)

_ANY = "account.*"

ACCOUNT = (
    read(
        "clock-skew", "This machine's clock is wrong, and Bandwidth refuses its access tokens",
        {"clock": ("off",), _ANY: ("token-refused", "no-token")},
        "set this machine's clock (timedatectl set-ntp true), then look again", "no callbacks", ACCOUNT_FAILS,
    ),
    read(
        "no-token", "Bandwidth issues no access token for this client id and secret",
        {_ANY: ("no-token",), "clock": ("right", "unknown")},
        "create new API Credentials in the Bandwidth App (Account, API Credentials), and store the secret where "
        "bandwidth.client_secret points", "no callbacks", ACCOUNT_FAILS,
    ),
    read(
        "token-refused", "Bandwidth refuses an access token that it has just issued",
        {_ANY: ("token-refused",), "clock": ("right", "unknown")},
        "check that the API Credential is active and belongs to this account (Account, API Credentials)",
        "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "role-missing", "The API Credential lacks a role, or is not one of this account", {_ANY: ("not-entitled",)},
        "give it this account, and the roles for applications, SIP credentials and voice (Account, API Credentials)",
        "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "rate-limited", "Bandwidth rejects requests: too many in a short time (429)", {_ANY: ("rate-limited",)},
        "wait a minute and look again; if that does not help, ask Bandwidth for a higher limit", "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "account-unreachable",
        "Bandwidth's API cannot be used from here: it does not answer, or answers with a server error (5xx)",
        {_ANY: ("no-answer", "broken")},
        "check this machine's network and proxy (HTTPS_PROXY), and Bandwidth's status page", "firewall", ACCOUNT_FAILS,
    ),
    read(
        "account-refused", "Bandwidth refuses to list what the account has", {_ANY: ("refused", "absent")},
        "check bandwidth.account_id in the site file, and read Bandwidth's answer in the evidence", "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "not-enabled", "SIP credentials (or HTTP voice) are not enabled for this account",
        {"account.entitled": ("no",)},
        "ask your Bandwidth account manager to enable SIP Credentials and HTTP voice; a GET that succeeds does not "
        "prove it", "no callbacks", {**OUT, **ACCOUNT_FAILS},
    ),
    read(
        "clock-off", "This machine's clock differs from Bandwidth's by more than a minute",
        {"clock": ("off",), _ANY: ("ok",)},
        "set this machine's clock (timedatectl set-ntp true)", "no callbacks",
    ),
    read(
        "site-number", "The site's number is not a number of this account", {"inward.from": ("refused",)},
        "correct bandwidth.number in the site file (Account, Numbers, in the Bandwidth App)", "caller id",
        {"inward.create": ("refused",), "outward.caller": ("differs",), **OUT_REFUSED},
        covers=("foreign-caller-id", "route-caller-id"),  # they compare with that number
    ),
)

APPLICATION = (
    read(
        "wrong-app-type", "The application of the site's name is not a Voice application",
        {"application": ("other-type",)},
        "rename it and create a Voice application: the type of an application cannot be changed", "no callbacks",
        {**OUT, **ACCOUNT_FAILS}, "application",
    ),
    read(
        "no-application", "The account has no Voice application of the site's name", {"application": ("absent",)},
        "create it: " + NB10, "no callbacks", {**OUT, **ACCOUNT_FAILS}, "application",
    ),
    read(
        "application-twice", "Several Voice applications have the site's name", {"application": ("twice",)},
        "rename or delete all but one on the dashboard", "no callbacks", {**OUT, **ACCOUNT_FAILS},
    ),
    read(
        "callback-get", "Bandwidth sends the call initiated callback by GET, not POST",
        {"application.call_initiated_method": ("differs",)},
        "set the method to POST on the application's page", "no callbacks",
        {"outward.webhook": ("none",)}, "application",  # an application that takes GET too is none the worse for it
    ),
    read(
        "callback-get", "Bandwidth sends the call status callback by GET, not POST",
        {"application.call_status_method": ("differs",)},
        "set the method to POST on the application's page", "no callbacks", {}, "application",
    ),
    read(
        "status-url", "The Call status callback URL is not the one in the site file: disconnect events go elsewhere",
        {"application.call_status_url": ("differs",)},
        "put the site's URL into Call status callback URL", "urls", {}, "application",
    ),
)

_CALLBACK = {
    "dead": ("callback-dead", "Nobody answers at the application's callback URL",
             "start the application, or put the right URL into Call initiated callback URL"),
    "certificate": ("callback-certificate", "The callback URL's certificate is not trusted",
                    "install a certificate of a public authority for exactly that host name, with its chain"),
    "slow": ("callback-slow", "The callback URL answers too slowly: Bandwidth gives up",
             "let the application answer at once and do its work afterwards"),
    "status": ("callback-status", "The callback URL answers with an error",
               "read the application's own log; check the path of the URL"),
    "bxml": ("callback-bad-bxml", "The callback URL answers with something that is not BXML",
             "answer 200 with a <Response> document; check it with bwlib.bxml.read"),
    "no-challenge": ("callback-no-challenge",
                     "The callback URL answers 401 without WWW-Authenticate: Bandwidth never sends credentials",
                     'add the header WWW-Authenticate: Basic realm="..." to its 401'),
    "unasked": ("callback-unasked", "The callback URL does not ask for the callback credentials",
                "let the server require them, or remove them from the Voice application"),
    "credentials": ("callback-password", "The callback URL refuses the site's callback credentials",
                    "set user and password in the application and in the site file to those that the server expects"),
}  # fmt: skip
_AFTER_CALLBACK: Where = {
    "outward.trunk": (ladder.REFUSED_AFTER, ladder.REFUSED_SOMEWHERE, *UNANSWERED),
    "outward.webhook": ("none",), "inward.webhook": ("none",), "call.cause": CALLBACK_FAILED, **OUT_TALK,
}  # fmt: skip

CALLBACK = (
    *(
        read(
            name, cause, {"callback": (word,)}, fix, "urls",
            {} if word == "unasked" else _AFTER_CALLBACK, "application" if word in ("dead", "status", "bxml") else "",
        )
        for word, (name, cause, fix) in _CALLBACK.items()
    ),
    read(
        "callback-password", "The callback password stored at Bandwidth is not the one that the server expects",
        {"outward.webhook": ("refused",), "callback": ("alive",)},
        "enter callback user and password again on the application's page (the password cannot be read back)", "urls",
        {**_AFTER_CALLBACK, "outward.webhook": ("none", "refused")}, "application",
    ),
    read(
        "callback-user", "The application's callback user is not the one in the site file",
        {"application.callback_user": ("differs",)},
        "type the site's callback user and password on the application's page", "urls",
        {"outward.trunk": (ladder.REFUSED_AFTER, *UNANSWERED), "outward.webhook": ("none", "refused"), **OUT_TALK},
        "application",
    ),
    read(
        "callback-url", "The application's callback URL is not the one in the site file",
        {"application.call_initiated_url": ("differs",)},
        "put the site's URL into Call initiated callback URL", "urls", _AFTER_CALLBACK, "application",
    ),
)

REALM = (
    read(
        "realm-pending", "The realm is not ACTIVE yet", {"realm": ("CREATE_PENDING",)},
        "wait a few minutes; if it is still pending then, ask Bandwidth support", "no callbacks", OUT,
    ),
    read(
        "realm-not-active", "The realm is not usable: creating it failed, or deleting it has begun",
        {"realm": ("CREATE_FAILED", "DELETE_PENDING", "DELETE_FAILED")},
        "delete it and add it again; its FQDN will change, so run notebooks 20 and 30 again", "no callbacks",
        OUT, "realm",
    ),
    read(
        "no-realm", "The account has no realm of the site's name", {"realm": ("absent",)}, "add it: " + NB20,
        "no callbacks", OUT, "realm",
    ),
    read(
        "no-credential", "The realm has no SIP credential with the site's user name",
        {"credential": ("absent",)}, "add it: " + NB20, "no callbacks", OUT_TURNED_AWAY, "sip_credential",
    ),
    read(
        "credential-case", "The credential's user name differs from the site file's in upper and lower case",
        {"credential.username": ("other-case",)},
        "spell it in the site file as Bandwidth has it: the digest is computed over the name as it was created",
        "no callbacks", OUT_REFUSED,
    ),
    read(
        "unbound-credential", "The SIP credential is bound to no application",
        {"credential.application": ("none",)},
        "bind it: choose the application on the SIP Credentials tab; calls of an unbound one go to the PSTN",
        "no callbacks",
        {**OUT_REFUSED, "outward.webhook": ("none",)}, "sip_credential",
    ),
    read(
        "credential-other-application", "The SIP credential is bound to another application",
        {"credential.application": ("other", "gone")},
        "bind it to the site's application on the SIP Credentials tab", "no callbacks",
        {**OUT_REFUSED, "outward.webhook": ("none",), **OUT_TALK}, "sip_credential",
    ),
    read(
        "rotated-password",
        "The credential's password at Bandwidth is not the one that site file and trunk have",
        {"credential.password": ("differs",), "trunk.secret": ("as-wanted",)},
        "store Bandwidth's password where sip_credential.password points and apply the trunk again, or set "
        "sip_credential.rotate = true (every other device that uses the credential must then be changed)",
        "no callbacks", OUT_REFUSED, "sip_credential",
    ),
    read(
        "site-password", "The site file points to another password than the credential's; the trunk has the right one",
        {"credential.password": ("differs",), "trunk.password": ("as-wanted",)},
        "store the credential's password where sip_credential.password points", "no callbacks",
    ),
    read(
        "site-password", "The site file points to another password than the credential's",
        {
            "credential.password": ("differs",), "trunk.password": ("differs", "unknown"),
            "trunk.secret": ("differs", "unknown"),
        },
        "store the credential's password where sip_credential.password points, and apply the trunk again",
        "no callbacks", OUT_REFUSED, "sip_credential",
    ),
    read(
        "hash-realm", "The realm's challenge names another realm than its FQDN", {"direct.realm": ("differs",)},
        "ask Bandwidth support, or create the credential again with hashes over the name in the challenge",
        "no callbacks", OUT_REFUSED,
    ),
    read(
        "sip-uri-off", "The application's Inbound SIP URI is not enabled", {"sip_uri": ("absent", "disabled")},
        "enable it: " + NB20, "no callbacks", OUT, "inbound_sip_uri",
    ),
)
