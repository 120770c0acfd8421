"""Everything Bandwidth's public sources leave open, as one table of named switches.

The sandbox must answer something where the sources are silent or disagree. Each such answer is a row here: what
it is called, what we assume, what else it may be, and why it is open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

SECONDS = "<seconds>"
COUNT = "<count>"
DATE = "<date>"


@dataclass(frozen=True)
class Switch:
    """One open question. `allowed` lists the values, or is one of: (SECONDS,) for seconds, 0 to 3600; (COUNT,) for a
    whole number, 0 to 100000; (DATE,) for a day such as 2026-12-02."""

    name: str
    default: str
    allowed: tuple[str, ...]
    meaning: str
    source: str


REGISTRAR = "dev.bandwidth.com/docs/account/sipRegistrar"
SPEC = "github.com/Bandwidth/api-docs site/specs/numbers_v2.yml"
CLI = "github.com/Bandwidth/cli internal/sip and AGENTS.md"
WEBHOOKS = "dev.bandwidth.com/docs/voice/webhooks"
ERRORS = "github.com/Bandwidth/api-docs site/docs/numbers/errors.mdx"
APPLICATIONS = "dev.bandwidth.com/docs/account/applications"
VOICE_LIMITS = "dev.bandwidth.com/docs/voice/rateLimits"
VOICE_SPEC = "github.com/Bandwidth/python-sdk bandwidth.yml"
UI = "support.bandwidth.com, SIP Credentials"
MANAGEMENT = "dev.bandwidth.com/docs/account/credentials/management"
SIP_URI = "dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri"
NOT_PUBLIC = "no public statement"

SWITCHES: tuple[Switch, ...] = (
    # ---------------------------------------------------------------- authentication
    Switch("basic_auth_ends", "2026-12-02", (DATE,), "the day (UTC) from which HTTP Basic is refused", MANAGEMENT),
    Switch("basic_auth_ended_status", "401", ("401", "403"), "HTTP Basic after that day", NOT_PUBLIC),
    Switch("token_lifetime_s", "3600", (SECONDS,), "expires_in of an access token; no number is public", MANAGEMENT),
    Switch(
        "clock_ahead_s",
        "0",
        (SECONDS,),
        "how far the service's clock is ahead of this machine's: Date says it, and over 300 s every token is stale",
        NOT_PUBLIC,
    ),
    Switch("api_credential", "active", ("active", "revoked"), "whether the API Credential was revoked", MANAGEMENT),
    Switch(
        "tokens_of_revoked", "refused", ("refused", "accepted"), "tokens that a credential got before that", NOT_PUBLIC
    ),
    Switch(
        "invalid_client_status", "401", ("400", "401"), "a wrong or revoked credential: clients take both as that", CLI
    ),
    Switch(
        "token_accounts",
        "own",
        ("own", "other", "system-wide"),
        "the accounts a token names: its own, only another one, or none, which stands for all",
        CLI,
    ),
    Switch(
        "missing_role",
        "none",
        ("none", "Application Management", "HttpVoice", "SIP Credentials"),
        "a role that the credential lacks: 403 on its API. The names: no catalogue is public",
        CLI,
    ),
    Switch("account_locked", "no", ("no", "yes"), "yes: 404 with 4022 on the account API", ERRORS),
    Switch(
        "http_voice", "yes", ("yes", "no"), "the account has HTTP voice; no: 409 with 12150 on POST /applications", CLI
    ),
    Switch(
        "sip_entitled", "yes", ("yes", "no"), "the account has SipCredentialSettings; no: 33004 and 23013 on POST", SPEC
    ),
    # ---------------------------------------------------------------- account API
    Switch("account_api_per_s", "0", (COUNT,), "requests in a second before 429; 0: no limit is public", NOT_PUBLIC),
    Switch("application_names", "any", ("any", "unique"), "whether two applications may share a name (1015)", CLI),
    Switch(
        "messaging_applications",
        "refuse",
        ("keep", "refuse"),
        "a messaging application: refused, or kept by its name alone so that the wrong type can be met",
        APPLICATIONS,
    ),
    Switch("malformed_url_code", "12803", ("12803", "12974"), "which of two codes a malformed URL gets", ERRORS),
    Switch("realm_separator", "-", ("-", "."), "between name and hex in a realm's FQDN: sources disagree", CLI),
    Switch("realm_name_max", "30", ("30", "64"), "longest realm: the specification says 64, its example 30", SPEC),
    Switch(
        "realm_charset",
        "inner-hyphens",
        ("inner-hyphens", "lower-alphanumeric"),
        "what a realm may hold: the CLI also sends upper case and inner hyphens, the dashboard takes a-z and 0-9 only",
        UI,
    ),
    Switch(
        "first_realm", "as-asked", ("as-asked", "default"), "an account's first realm: Default as sent, or true", CLI
    ),
    Switch("realm_create", "succeeds", ("succeeds", "fails"), "fails: CREATE_PENDING ends in CREATE_FAILED", SPEC),
    Switch("realm_delete", "succeeds", ("succeeds", "fails"), "fails: DELETE_PENDING ends in DELETE_FAILED", SPEC),
    Switch("realm_fragment_code", "33011", ("13112", "33011"), "which of two codes a short realmfragment gets", ERRORS),
    Switch("realm_create_s", "0.5", (SECONDS,), "how long a realm is CREATE_PENDING", REGISTRAR),
    Switch("realm_dns_s", "0", (SECONDS,), "how long an ACTIVE realm does not resolve in DNS yet", CLI),
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
    Switch("credentials_per_request", "500", (COUNT,), "most entries of one POST sipcredentials (23003)", NOT_PUBLIC),
    Switch(
        "credential_error_text",
        "plain",
        ("plain", "with-hashes"),
        "whether an error's Description repeats the hashes as well; its echo of the entry always does",
        CLI,
    ),
    Switch("username_on_put_code", "23030", ("23004", "23030"), "UserName in PUT of a realm's credential", CLI),
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
    # ---------------------------------------------------------------- Inbound SIP URI
    Switch("voice_application_get", "405", ("200", "405"), "GET of /v2/.../voice-applications/{id}", NOT_PUBLIC),
    Switch(
        "sip_uri_repeat_enable",
        "keep",
        ("keep", "rotate"),
        "PATCH with passwordAuthEnabled true where it is true already: the password stays, or a new one is answered",
        SIP_URI,
    ),
    Switch("sip_uri_reenable", "same", ("same", "new"), "the URI after it was disabled and enabled again", NOT_PUBLIC),
    Switch(
        "sip_uri_digest_user",
        "uuid",
        ("uuid", "application-id", "uri"),
        "the user name of a SIP URI's digest: the URI's uuid, the application's id, or uuid@host",
        NOT_PUBLIC,
    ),
    Switch("sip_uri_challenge_status", "407", ("401", "407"), "how a SIP URI asks for credentials", NOT_PUBLIC),
    Switch(
        "sip_uri_both",
        "both",
        ("both", "either"),
        "with a password and allowed addresses: both are needed, or one is enough",
        SIP_URI,
    ),
    Switch("sip_uri_refused_status", "403", ("401", "403", "404"), "a caller whom a SIP URI turns away", NOT_PUBLIC),
    Switch("unknown_sip_uri_status", "404", ("403", "404", "480"), "a SIP URI unknown or disabled", NOT_PUBLIC),
    Switch(
        "sip_uri_caller_id",
        "any",
        ("any", "own-numbers"),
        "which From users a SIP URI takes; others: foreign_caller_id_status",
        NOT_PUBLIC,
    ),
    Switch("sip_uri_to", "uri", ("uri", "user"), "`to` in the webhooks of a call to a SIP URI", NOT_PUBLIC),
    Switch("sip_uri_region", "US", ("CA", "GB", "US"), "where calls to SIP URIs come from: allowedRegions", SIP_URI),
    # ---------------------------------------------------------------- voice API and webhooks
    Switch(
        "voice_calls_per_s",
        "0",
        (COUNT,),
        "POST /calls in a second before 429. Bandwidth's default is 5; here 0: no limit, for load tests",
        VOICE_LIMITS,
    ),
    Switch(
        "voice_concurrent_calls",
        "0",
        (COUNT,),
        "calls that are up before POST /calls gets 429. Bandwidth's default is 100; here 0: no limit",
        VOICE_LIMITS,
    ),
    Switch("voice_api_per_s", "0", (COUNT,), "requests to the Voice API in a second before 429; 0: none", VOICE_SPEC),
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
    Switch(
        "symmetric_rtp",
        "yes",
        ("yes", "no"),
        "yes: RTP goes to where the PBX's comes from; no: to the address in its SDP, whatever that is",
        NOT_PUBLIC,
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
    if switch.allowed in _KINDS:
        fits, wanted = _KINDS[switch.allowed]
        return None if fits(value) else f"{name} takes {wanted}, not {value!r}"
    return None if value in switch.allowed else f"{name} takes one of {', '.join(switch.allowed)}, not {value!r}"


def _is_seconds(value: str) -> bool:
    try:
        return 0 <= float(value) <= 3600
    except ValueError:
        return False


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= 6 and int(value) <= 100_000


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


_KINDS: dict[tuple[str, ...], tuple[Callable[[str], bool], str]] = {
    (SECONDS,): (_is_seconds, "seconds, 0 to 3600"),
    (COUNT,): (_is_count, "a whole number, 0 to 100000"),
    (DATE,): (_is_date, "a day such as 2026-12-02"),
}
