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
    TALK,
    UNANSWERED,
    Where,
    read,
)  # fmt: skip

_ANY = "account.*"

ACCOUNT = (
    read(
        "clock-skew", "This machine's clock is wrong, so that Bandwidth refuses its tokens",
        {"clock": ("off",), _ANY: ("token-refused", "no-token")},
        "set this machine's clock (timedatectl set-ntp true), then look again", "no callbacks", ACCOUNT_FAILS,
    ),
    read(
        "no-token", "Bandwidth gives no token for this client id and secret",
        {_ANY: ("no-token",), "clock": ("right", "unknown")},
        "make new API Credentials in the Bandwidth App (Account, API Credentials), and put the secret where "
        "bandwidth.client_secret refers to", "no callbacks", ACCOUNT_FAILS,
    ),
    read(
        "token-refused", "Bandwidth refuses the token that it gave itself",
        {_ANY: ("token-refused",), "clock": ("right", "unknown")},
        "check that the API Credential is active and names this account (Account, API Credentials)", "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "role-missing", "The API Credential lacks a role", {_ANY: ("not-entitled",)},
        "give it the roles for applications, SIP credentials and voice (Account, API Credentials)", "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "rate-limited", "Bandwidth turns requests away: too many in a short time (429)", {_ANY: ("rate-limited",)},
        "wait a minute and look again; if it stays so, ask Bandwidth for a higher limit", "no callbacks", ACCOUNT_FAILS,
    ),
    read(
        "account-unreachable", "Bandwidth's API gives no usable answer here: none at all, or a server error (5xx)",
        {_ANY: ("no-answer", "broken")},
        "check this machine's network and proxy (HTTPS_PROXY), and Bandwidth's status page", "firewall", ACCOUNT_FAILS,
    ),
    read(
        "account-refused", "Bandwidth refuses to say what the account has", {_ANY: ("refused", "absent")},
        "check the account's id in the site file (bandwidth.account_id), and read the refusal", "no callbacks",
        ACCOUNT_FAILS,
    ),
    read(
        "not-enabled", "SIP credentials (or HTTP voice) are not enabled for this account",
        {"account.entitled": ("no",)},
        "ask your Bandwidth account manager to enable SIP Credentials and HTTP voice; a GET that succeeds does not "
        "prove it", "no callbacks", {**OUT, **ACCOUNT_FAILS},
    ),
    read(
        "clock-off", "This machine's clock is not Bandwidth's", {"clock": ("off",), _ANY: ("ok",)},
        "set this machine's clock (timedatectl set-ntp true)", "no callbacks",
    ),
)

APPLICATION = (
    read(
        "wrong-app-type", "The application of that name is not a Voice application",
        {"application": ("other-type",)},
        "rename that one and create a Voice application: an application's type cannot be changed", "no callbacks",
        {**OUT, **ACCOUNT_FAILS}, "application",
    ),
    read(
        "no-application", "There is no Voice application of the site's name", {"application": ("absent",)},
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
        {"outward.trunk": (ladder.REFUSED_AFTER,), "outward.webhook": ("none",)}, "application",
    ),
    read(
        "callback-get", "Bandwidth sends the call status callback by GET, not POST",
        {"application.call_status_method": ("differs",)},
        "set the method to POST on the application's page", "no callbacks", {}, "application",
    ),
    read(
        "status-url", "The call status callback URL is not the one that the site file names: no disconnect events come",
        {"application.call_status_url": ("differs",)},
        "put the site's URL into Call status callback URL", "urls", {}, "application",
    ),
    read(
        "callback-user", "The callback user in the application is not the one that the site file names",
        {"application.callback_user": ("differs",)},
        "type the site's callback user and password on the application's page", "urls",
        {"outward.trunk": (ladder.REFUSED_AFTER, *UNANSWERED), "outward.webhook": ("none", "refused"), **TALK},
        "application",
    ),
)

_CALLBACK = {
    "dead": ("callback-dead", "Nobody answers at the application's callback URL",
             "start the application, or put the right URL into Call initiated callback URL"),
    "certificate": ("callback-certificate", "The callback URL's certificate is not trusted",
                    "give the server a certificate of a public authority for that very name, with its chain"),
    "slow": ("callback-slow", "The callback URL answers too slowly: Bandwidth gives up",
             "make the application answer at once, and do its work afterwards"),
    "status": ("callback-status", "The callback URL answers with an error",
               "read the application's own log; check the path of the URL"),
    "bxml": ("callback-bad-bxml", "The callback URL answers with something that is not BXML",
             "answer 200 with a <Response> document; check it with bwlib.bxml.read"),
    "no-challenge": ("callback-no-challenge", "The callback URL refuses (401) without asking for credentials",
                     'add the header WWW-Authenticate: Basic realm="..." to its 401'),
    "unasked": ("callback-unasked", "The callback URL does not ask for the callback credentials",
                "make the application require them, or take them out of the Voice application"),
    "credentials": ("callback-password", "The callback URL refuses the site's callback credentials",
                    "make user and password of the application and of the site file the ones that the server expects"),
}  # fmt: skip
_AFTER_CALLBACK: Where = {
    "outward.trunk": (ladder.REFUSED_AFTER, *UNANSWERED), "outward.webhook": ("none",), **TALK,
    "call.cause": CALLBACK_FAILED,
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
        "callback-password", "The application at Bandwidth has another callback password than its server asks for",
        {"outward.webhook": ("refused",), "callback": ("alive",)},
        "type the callback user and password anew on the application's page (they cannot be read back)", "urls",
        {**_AFTER_CALLBACK, "outward.webhook": ("none", "refused")}, "application",
    ),
    read(
        "callback-url", "The application's callback URL is not the one that the site file names",
        {"application.call_initiated_url": ("differs",)},
        "put the site's URL into Call initiated callback URL", "urls", _AFTER_CALLBACK, "application",
    ),
)

REALM = (
    read(
        "realm-pending", "The realm is not ACTIVE yet", {"realm": ("CREATE_PENDING",)},
        "wait; if it stays so for more than some minutes, ask Bandwidth support", "no callbacks", OUT,
    ),
    read(
        "realm-not-active", "The realm is not ACTIVE",
        {"realm": ("CREATE_FAILED", "DELETE_PENDING", "DELETE_FAILED")},
        "delete it and add it anew; its FQDN will be another one, so run notebooks 20 and 30 again", "no callbacks",
        OUT, "realm",
    ),
    read(
        "no-realm", "There is no realm of the site's name", {"realm": ("absent",)}, "add it: " + NB20,
        "no callbacks", OUT, "realm",
    ),
    read(
        "no-credential", "There is no SIP credential of the site's user name in the realm",
        {"credential": ("absent",)}, "add it: " + NB20, "no callbacks", OUT, "sip_credential",
    ),
    read(
        "credential-case", "The credential's user name is written with other capitals",
        {"credential.username": ("other-case",)},
        "write it in the site file as Bandwidth has it: the hashes are over the name as it was submitted",
        "no callbacks", OUT_REFUSED,
    ),
    read(
        "unbound-credential", "The SIP credential is bound to no application",
        {"credential.application": ("none",)},
        "bind it: choose the application on the SIP Credentials tab; unbound, its calls go to the PSTN", "no callbacks",
        {**OUT_REFUSED, "outward.webhook": ("none",)}, "sip_credential",
    ),
    read(
        "credential-other-application", "The SIP credential is bound to another application",
        {"credential.application": ("other", "gone")},
        "bind it to the site's application on the SIP Credentials tab", "no callbacks",
        {**OUT_REFUSED, "outward.webhook": ("none",), **TALK}, "sip_credential",
    ),
    read(
        "rotated-password", "The credential's password at Bandwidth is not the site's (any more)",
        {"credential.password": ("differs",), "trunk.secret": ("as-wanted",)},
        "put the password that Bandwidth knows where sip_credential.password refers to and apply the trunk again, or "
        "set sip_credential.rotate = true (every other device that uses the credential must then be changed)",
        "no callbacks", OUT_REFUSED, "sip_credential",
    ),
    read(
        "site-password", "The site file refers to another password than the credential's; the PBX has the right one",
        {"credential.password": ("differs",), "trunk.password": ("as-wanted",)},
        "put the password that Bandwidth knows where sip_credential.password refers to", "no callbacks",
    ),
    read(
        "site-password", "The site file refers to another password than the credential's",
        {
            "credential.password": ("differs",), "trunk.password": ("differs", "unknown"),
            "trunk.secret": ("differs", "unknown"),
        },
        "put the password that Bandwidth knows where sip_credential.password refers to, and apply the trunk again",
        "no callbacks", OUT_REFUSED, "sip_credential",
    ),
    read(
        "hash-realm", "The realm's challenge names another realm than its FQDN", {"direct.realm": ("differs",)},
        "make the hashes over the name in the challenge, or ask Bandwidth support", "no callbacks", OUT_REFUSED,
    ),
    read(
        "sip-uri-off", "The application's Inbound SIP URI is not enabled", {"sip_uri": ("absent", "disabled")},
        "enable it: " + NB20, "no callbacks", OUT, "inbound_sip_uri",
    ),
)
