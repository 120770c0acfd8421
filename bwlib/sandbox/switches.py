"""Everything Bandwidth's public sources leave open, as one table of named switches.

The sandbox must answer something where the sources are silent or disagree. Each such answer is a row here: what
it is called, what we assume, what else it may be, and why it is open.
"""

from __future__ import annotations

from dataclasses import dataclass

SECONDS = "<seconds>"


@dataclass(frozen=True)
class Switch:
    """One open question. `allowed` lists the values, or is (SECONDS,) for a number of seconds, 0 to 3600."""

    name: str
    default: str
    allowed: tuple[str, ...]
    meaning: str
    source: str


REGISTRAR = "dev.bandwidth.com/docs/account/sipRegistrar"
SPEC = "github.com/Bandwidth/api-docs site/specs/numbers_v2.yml"
CLI = "github.com/Bandwidth/cli internal/sip and AGENTS.md"
WEBHOOKS = "dev.bandwidth.com/docs/voice/webhooks"
MANAGEMENT = "dev.bandwidth.com/docs/account/credentials/management"
NOT_PUBLIC = "no public statement"

SWITCHES: tuple[Switch, ...] = (
    # ---------------------------------------------------------------- authentication
    Switch("basic_auth", "allowed", ("allowed", "refused"), "HTTP Basic of API Users; ends on 2026-12-02", MANAGEMENT),
    Switch("token_lifetime_s", "3600", (SECONDS,), "expires_in of an access token; no number is public", MANAGEMENT),
    Switch(
        "sip_entitled", "yes", ("yes", "no"), "the account has SipCredentialSettings; no: 33004 and 23013 on POST", SPEC
    ),
    # ---------------------------------------------------------------- account API
    Switch("realm_separator", "-", ("-", "."), "between name and hex in a realm's FQDN: sources disagree", CLI),
    Switch("realm_create_s", "0.5", (SECONDS,), "how long a realm is CREATE_PENDING", REGISTRAR),
    Switch("realm_delete_s", "0.5", (SECONDS,), "how long a realm is DELETE_PENDING", REGISTRAR),
    Switch(
        "realm_short_name",
        "not-found",
        ("not-found", "found"),
        "GET /realms/{short name}: spec says found, CLI not",
        CLI,
    ),
    Switch(
        "empty_credential_list", "200", ("200", "404"), "an empty sipcredentials list: 200, or 404 with 23008", SPEC
    ),
    Switch("invalid_credentials_status", "400", ("400", "201"), "POST sipcredentials when no entry is valid", CLI),
    Switch("credential_username_case", "keep", ("keep", "lower"), "whether the server changes a UserName's case", CLI),
    Switch(
        "credential_app_on_put", "update", ("update", "ignore"), "HttpVoiceV2AppId in PUT: spec allows, CLI omits", SPEC
    ),
    Switch(
        "credential_app_omitted", "keep", ("keep", "clear"), "PUT of a credential without HttpVoiceV2AppId", NOT_PUBLIC
    ),
    Switch(
        "bound_application_delete", "allow", ("allow", "refuse"), "DELETE of an application credentials use", NOT_PUBLIC
    ),
    # ---------------------------------------------------------------- voice API and webhooks
    Switch("call_not_found_s", "0", (SECONDS,), "how long GET of a new call answers 404", CLI),
    Switch(
        "empty_bxml_body", "hangup", ("hangup", "invalid-bxml"), "a 2xx with an empty body to a BXML event", WEBHOOKS
    ),
    Switch(
        "callback_credentials",
        "own-only",
        ("own-only", "inherit"),
        "a BXML verb's URL gets the verb's credentials only, or on the same origin those of the application or call",
        NOT_PUBLIC,
    ),
    Switch(
        "unanswered_hangup_status",
        "603",
        ("480", "486", "503", "603"),
        "SIP answer to a caller whose unanswered call the application ends",
        NOT_PUBLIC,
    ),
    # ---------------------------------------------------------------- SIP edge
    Switch(
        "challenge",
        "on",
        ("on", "off"),
        "off: nobody is asked for credentials, for load tools that know none (`sipp -sn uac`). The From user names the "
        "credential, else the realm's only one; the edge's own address in a Request-URI is the default realm",
        "a tool of the sandbox: Bandwidth always challenges (" + REGISTRAR + ")",
    ),
    Switch(
        "unknown_realm_status", "404", ("403", "404", "480", "503"), "INVITE to a realm that is not there", NOT_PUBLIC
    ),
    Switch("inactive_realm_status", "503", ("404", "480", "503"), "INVITE to a realm that is not ACTIVE", CLI),
    Switch("wrong_password_status", "403", ("403", "407"), "credentials that do not fit", CLI),
    Switch(
        "foreign_caller_id_status", "403", ("403", "404", "480", "603"), "From is no number of the account", NOT_PUBLIC
    ),
    Switch("digest_uri", "any", ("any", "must-match"), "whether a digest's uri must be the Request-URI", NOT_PUBLIC),
    Switch("caller_id_source", "from", ("from", "from-or-pai"), "where the caller's number is read", NOT_PUBLIC),
    Switch(
        "unbound_credential_status", "404", ("403", "404", "503"), "a credential without application: PSTN", REGISTRAR
    ),
    Switch("options", "200", ("200", "405", "silent"), "OPTIONS at the edge", NOT_PUBLIC),
    Switch("register", "405", ("403", "405", "501"), "REGISTER at the edge; the Registrar is not imitated", REGISTRAR),
)

BY_NAME = {switch.name: switch for switch in SWITCHES}


def check_value(name: str, value: str) -> str | None:
    """Why `value` cannot be given to the switch `name`; None when it can."""
    switch = BY_NAME.get(name)
    if switch is None:
        return f"there is no switch {name!r}; there are: {', '.join(sorted(BY_NAME))}"
    if switch.allowed == (SECONDS,):
        try:
            fits = 0 <= float(value) <= 3600
        except ValueError:
            fits = False
        return None if fits else f"{name} takes seconds, 0 to 3600, not {value!r}"
    return None if value in switch.allowed else f"{name} takes one of {', '.join(switch.allowed)}, not {value!r}"
