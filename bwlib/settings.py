"""The site file: one TOML per site, the same answers for widgets and for batch.

`load_settings` turns it into one frozen, validated `Settings`; anything wrong stops here, before anything is sent.
Secrets appear only as references (`bwlib.secret_references`). The environment names are those of Bandwidth's own
`band` command line: BW_ACCOUNT_ID, BW_CLIENT_ID, BW_CLIENT_SECRET, BW_API_URL, BW_VOICE_URL.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zlib import crc32

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bwlib.errors import SettingsError
from bwlib.models import SshLogin
from bwlib.secret_references import is_reference

Target = Literal["sandbox", "live"]
Mode = Literal["auto", "plan", "apply"]
# How the PBX reaches the application: by a realm and a SIP credential (the guide), or by Bandwidth's Inbound SIP URI.
Road = Literal["realm", "sip-uri"]
# "click": with somebody at the front end a cell does nothing until a button of its card is pressed.
Walk = Literal["run", "click"]

LIVE_API_URL = "https://api.bandwidth.com/api/v2"
LIVE_VOICE_URL = "https://voice.bandwidth.com/api/v2"
LIVE_TOKEN_URL = "https://api.bandwidth.com/api/v1/oauth2/token"  # noqa: S105  a URL, not a secret


def _reference(value: str) -> str:
    if not is_reference(value):
        # pydantic would repeat the input; load_settings never shows it.
        raise ValueError("must be a secret reference: env:NAME, keyring:service/name, file:path or prompt:")
    return value


def _e164(value: str) -> str:
    import phonenumbers  # here, because it takes a tenth of a second that `--help` does not need

    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        raise ValueError("must be a phone number in E.164, such as +19195550100") from None
    digits = value.removeprefix("+")
    plain = value.startswith("+") and digits.isascii() and digits.isdigit()
    if not plain or not phonenumbers.is_possible_number(number):
        raise ValueError("must be a phone number in E.164, such as +19195550100")
    return value


def _http_url(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("must be an http:// or https:// URL") from None
    if not fits or re.search(r"[\s\x00-\x1f]", value):
        raise ValueError("must be an http:// or https:// URL")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password: use callback_user and a reference in callback_password")
    return value


def _network(value: str) -> str:
    # Unauthenticated calls are admitted from there: a slip such as 0.0.0.0/0 would admit the world.
    if ip_network(value, strict=False).prefixlen < 8:
        raise ValueError("admits far too many addresses: give Bandwidth's own, such as 203.0.113.0/24")
    return value


def _ssh_login(value: str) -> str:
    if value:
        SshLogin.parse(value)
    return value


SecretReference = Annotated[str, AfterValidator(_reference)]
E164 = Annotated[str, AfterValidator(_e164)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Network = Annotated[str, AfterValidator(_network)]
SshPlace = Annotated[str, AfterValidator(_ssh_login)]
# It becomes a word of ssh's command line, and ssh itself expands % and $ in it.
SshPath = Annotated[str, Field(pattern=r"^([^-\s\"\\$%\x00-\x1f\x7f][^\s\"\\$%\x00-\x1f\x7f]*)?$")]
# A folder's name below runs/.
SITE_NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
# Safe in an Asterisk section name, a dialplan context and a file name alike.
PbxName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class _Table(BaseModel):
    # Bandwidth drops space around a name: kept here, it would never be found again, and created anew each time.
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class BandwidthTable(_Table):
    """The account. On the sandbox everything here comes from the sandbox and may stay out of the file.

    sandbox_account: which of the sandbox's accounts; one is made for a new name, "" is the one it starts with.
    """

    sandbox_account: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,39})?$")] = ""
    account_id: Annotated[str, Field(pattern=r"^[0-9]*$")] = ""
    client_id: str = "env:BW_CLIENT_ID"  # not a secret: a reference or the id itself
    client_secret: SecretReference = "env:BW_CLIENT_SECRET"  # noqa: S105  a reference
    auth: Literal["oauth2", "basic"] = "oauth2"
    number: E164 | Literal[""] = ""


class ApplicationTable(_Table):
    """Guide step 1. An empty callback_url means this project's own readback (sandbox only)."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")] = "PBX Interconnect"
    callback_url: HttpUrl = ""
    status_url: HttpUrl = ""
    callback_user: str = ""
    callback_password: SecretReference | Literal[""] = ""


class RealmTable(_Table):
    """Guide step 2. The name is the short one; Bandwidth lengthens it to an FQDN.

    Lower-case letters and digits, at most 30: the set that Bandwidth's dashboard and API both take
    (support.bandwidth.com, SIP Credentials, read 2026-11-23).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]{1,30}$")] = "pbxinterconnect"
    description: Annotated[str, Field(max_length=255)] = "PBX Interconnect runbook"
    wait_s: Annotated[float, Field(gt=0, le=600)] = 60


class SipCredentialTable(_Table):
    """Guide step 2. `rotate` true replaces a password that differs from the reference."""

    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-!$&*+=~]{1,32}$")] = "pbx"
    password: SecretReference = "file:secrets/sip_password"  # noqa: S105  a reference
    rotate: bool = False


class SipUriTable(_Table):
    """The second road (road = "sip-uri"). Bandwidth makes the password and says it once: it is written to `password`.

    username "": the URI's own uuid; which one Bandwidth wants is not public. Empty lists are not sent. `rotate` true
    lets a URI that is enabled already, with a password that nobody has kept, be disabled and enabled anew.
    Source: dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri (read 2026-11-23).
    """

    password: SecretReference = "file:secrets/sip_uri_password"  # noqa: S105  a reference
    username: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9@._+-]{0,99})?$")] = ""
    allowed_source_ips: tuple[Network, ...] = ()
    allowed_regions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2,8}$")], ...] = ()
    rotate: bool = False


class PbxTable(_Table):
    """Guide step 3. On the sandbox the PBX is a local Asterisk, and addresses and AMI access come from it; unless this
    names a PBX of your own, by `kind = "freepbx"`, by `ssh` (user@host[:port], "" for this machine) or by `config_dir`.

    With `ssh`, config_dir is a directory there, and an ami_host of 127.0.0.1 is that machine's, reached through ssh.
    FreePBX: driver "http" needs url (its GUI's), user and password (an administrator's); "shell" uses its own shell.
    apply_pending: apply also what somebody else left waiting for Apply Config.
    """

    kind: Literal["asterisk", "freepbx", "by-hand"] = "asterisk"
    ssh: SshPlace = ""
    ssh_key: SshPath = ""
    ssh_known_hosts: SshPath = ""
    driver: Literal["http", "shell"] = "http"
    url: HttpUrl = ""
    user: str = ""
    password: SecretReference | Literal[""] = ""
    ca_file: str = ""
    apply_pending: bool = False
    config_dir: str = "/etc/asterisk"
    ami_host: str = "127.0.0.1"
    ami_port: Annotated[int, Field(ge=1, le=65535)] = 5038
    ami_user: str = "bw-runbook"
    ami_secret: SecretReference = "env:BW_RUNBOOK_AMI_SECRET"  # noqa: S105  a reference
    sip_host: str = "127.0.0.1"
    sip_port: Annotated[int, Field(ge=1, le=65535)] = 5060
    bandwidth_ips: tuple[Network, ...] = ()
    trunk: PbxName = "bandwidth"
    route: PbxName = "bandwidth"
    # The guide leaves the pattern open; eleven digits with or without + and a leading 1 is the North American habit.
    extension: Annotated[str, Field(pattern=r"^[0-9]{2,10}$")] = "101"
    extension_secret: SecretReference = "file:secrets/extension_secret"  # noqa: S105  a reference


class ReadbackTable(_Table):
    """Where this project's readback can be asked what it received (live only; on the sandbox it is known)."""

    url: HttpUrl = ""
    token: SecretReference = "env:BW_RUNBOOK_READBACK_TOKEN"  # noqa: S105  a reference


class TestTable(_Table):
    """The test calls. `dial` is what the phone dials; `digit` what it presses.

    heard_threshold: the correlation that counts as heard. Noise scores about 0.02 and half an utterance 0.7, so less
    than 0.8 would let a call pass that was not heard.
    """

    __test__ = False  # not a pytest class
    dial: E164 = "+19195550199"
    digit: Annotated[str, Field(pattern=r"^[0-9*#]$")] = "4"
    phone: Literal["scripted", "person"] = "scripted"
    heard_threshold: Annotated[float, Field(ge=0.8, le=1)] = 0.99
    answer_timeout_s: Annotated[float, Field(gt=0, le=120)] = 15


class Settings(_Table):
    """One site's answers, validated. `path` is the site file; relative references start from its folder."""

    name: Annotated[str, Field(pattern=SITE_NAME)]
    target: Target = "sandbox"
    road: Road = "realm"
    walk: Walk = "run"
    operator_note: str = ""
    bandwidth: BandwidthTable = BandwidthTable()
    application: ApplicationTable = ApplicationTable()
    realm: RealmTable = RealmTable()
    sip_credential: SipCredentialTable = SipCredentialTable()
    sip_uri: SipUriTable = SipUriTable()
    pbx: PbxTable = PbxTable()
    readback: ReadbackTable = ReadbackTable()
    test: TestTable = TestTable()
    path: Path = Path("site.toml")

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def runs_dir(self) -> Path:
        return self.folder / "runs" / self.name

    @property
    def has_own_pbx(self) -> bool:
        """Whether the site file names a PBX, so that the sandbox stands in for Bandwidth only."""
        return bool(self.pbx.ssh) or self.pbx.kind == "freepbx" or "config_dir" in self.pbx.model_fields_set


def load_settings(path: Path, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read and check a site file. `overrides` ("realm.name": value) win over the file; None values do not count.

    Raises: SettingsError, which names the field and the fix and repeats no value of a secret field.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"read the site file {path}",
            "there is no such file",
            "run notebook 00_start, which writes it, or name another with site_file",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"read the site file {path}", str(error), "make it a readable UTF-8 text file") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"read the site file {path}", f"it is not TOML: {error}", "mend that line, or run notebook 00_start"
        ) from None
    if not table:
        raise SettingsError(
            f"read the site file {path}", "it is empty", 'give it at least: name = "my-site"  (notebook 00_start does)'
        )
    for dotted, value in (overrides or {}).items():
        if value is not None:
            _set(table, dotted, value)
    name = table.get("name")
    for dotted, value in names_for(name).items() if isinstance(name, str) else ():
        _set(table, dotted, value, only_if_missing=True)
    return _validated(table, path)


def _set(table: dict[str, object], dotted: str, value: object, *, only_if_missing: bool = False) -> None:
    head, _, tail = dotted.partition(".")
    if not tail:
        if not only_if_missing or head not in table:
            table[head] = value
        return
    inner = table.setdefault(head, {})
    if isinstance(inner, dict):
        _set(inner, tail, value, only_if_missing=only_if_missing)


def _validated(table: dict[str, object], path: Path) -> Settings:
    if "path" in table:
        raise SettingsError(f"check the site file {path}", "path: unknown entry", "take it out; nothing was sent")
    try:
        settings = Settings.model_validate({**table, "path": path.absolute()})
    except ValidationError as error:
        raise SettingsError(
            f"check the site file {path}", explain(error), "mend it and run again; nothing was sent"
        ) from None
    _check_together(settings)
    return settings


# What a pattern means, in words; pydantic would show the pattern.
_IN_WORDS = {
    "name": "use lower-case letters, digits and hyphens, at most 40, such as my-site",
    "bandwidth.account_id": "use digits only, in quotes",
    "application.name": "use up to 100 characters without control characters",
    "realm.name": "use lower-case letters and digits only, at most 30",
    "sip_credential.username": "use letters, digits and . _ - ! $ & * + = ~, at most 32",
    "pbx.ssh_key": "use the path of a private key, without spaces, quotes, $ and %, and without - in front",
    "pbx.ssh_known_hosts": "use a path without spaces, quotes, $ and %, and without - in front",
    "pbx.trunk": "use letters, digits, _ and -, at most 32",
    "pbx.route": "use letters, digits, _ and -, at most 32",
    "pbx.extension": "use 2 to 10 digits, in quotes",
    "test.digit": "use one of 0 to 9, * and #, in quotes",
}


def explain(error: ValidationError, entry: str = "") -> str:
    """Every fault as "entry: what to write instead", without ever repeating a value.

    entry: the only one that was checked; then it is not named, because a form says so beside it.
    """
    lines = []
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    # That an entry may also be empty is the second half of what is said about it, and no help.
    for fault in [fault for fault in faults if fault["msg"] != "Input should be ''"] or faults:
        found = ".".join(str(part) for part in fault["loc"] if not str(part).startswith(("literal", "function")))
        words = _in_words(entry or found, fault["type"], fault["msg"])
        lines.append(words if entry else f"{found}: {words}")
    return "; ".join(dict.fromkeys(lines))


def _in_words(field: str, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        known = [name for name in _entries(field) if name != "path"]
        near = get_close_matches(field.rpartition(".")[2], known, n=1)
        return "unknown entry" + (f", did you mean {near[0]}?" if near else f", known are: {', '.join(known)}")
    if kind in ("string_pattern_mismatch", "string_too_long", "string_too_short", "string_type"):
        return _IN_WORDS.get(field, "put it in quotes" if kind == "string_type" else message)
    if kind in ("int_parsing", "int_type", "int_from_float", "float_parsing", "float_type"):
        return "use a number, without quotes"
    return "is missing" if kind == "missing" else message.removeprefix("Value error, ")


def _entries(field: str) -> list[str]:
    """The known entries beside `field`: of its table, or of the file."""
    table = field.rpartition(".")[0]
    model = Settings.model_fields[table].annotation if table in Settings.model_fields else Settings
    return list(getattr(model, "model_fields", {}))


def _check_together(settings: Settings) -> None:
    """Rules that need more than one field."""
    application = settings.application
    for name in ("callback_url", "status_url"):
        url = getattr(application, name)
        if application.callback_user and url and urlsplit(url).scheme != "https":
            raise SettingsError(
                f"check the site file {settings.path}",
                f"application.{name} is not https although application.callback_user is set",
                "Bandwidth sends callback credentials over https only (error 12812): use an https URL",
            )
    if bool(application.callback_user) != bool(application.callback_password):
        raise SettingsError(
            f"check the site file {settings.path}",
            "application.callback_user and application.callback_password go together",
            "set both or neither",
        )
    _check_freepbx(settings)
    _check_ssh(settings)
    if settings.target == "sandbox":
        _refuse_user_without_url(settings)
        _refuse_live_urls(settings)
    elif not application.callback_url:
        raise SettingsError(
            f"check the site file {settings.path}",
            "application.callback_url is empty and target is live",
            "give the public https URL of your application (bw-runbook readback can be it)",
        )


def _check_freepbx(settings: Settings) -> None:
    pbx = settings.pbx
    needed = {"url": pbx.url, "user": pbx.user, "password": pbx.password}
    lacking = [f"pbx.{name}" for name, value in needed.items() if not value]
    if pbx.kind == "freepbx" and pbx.driver == "http" and lacking:
        raise SettingsError(
            f"check the site file {settings.path}",
            f"{', '.join(lacking)}: missing, although pbx.kind is freepbx",
            "give the GUI's address, an administrator's user name and a secret reference (FreePBX: Admin > "
            'Administrators), or driver = "shell"',
        )


def _check_ssh(settings: Settings) -> None:
    table = settings.pbx
    if table.kind == "asterisk" and table.ssh and not re.fullmatch(r"/[A-Za-z0-9._/@+-]+", table.config_dir):
        raise SettingsError(
            f"check the site file {settings.path}",
            "pbx.config_dir is no plain absolute path on the machine that pbx.ssh names",
            "give Asterisk's configuration directory there, such as /etc/asterisk",
        )
    if not table.ssh and (table.ssh_key or table.ssh_known_hosts):
        raise SettingsError(
            f"check the site file {settings.path}",
            "pbx.ssh_key and pbx.ssh_known_hosts count for nothing without pbx.ssh",
            'give pbx.ssh = "user@host" as well, or take them out',
        )


def _refuse_user_without_url(settings: Settings) -> None:
    if settings.application.callback_user and not settings.application.callback_url:
        raise SettingsError(
            f"check the site file {settings.path}",
            "application.callback_user is set but application.callback_url is empty: the sandbox's own readback is "
            "called then, with its own user and password",
            "give the callback_url that they belong to, or take callback_user and callback_password out",
        )


def _refuse_live_urls(settings: Settings) -> None:
    for name in ("BW_API_URL", "BW_VOICE_URL"):
        if os.environ.get(name):
            raise SettingsError(
                f"open {settings.path} on the sandbox",
                f'{name} is set, but target = "sandbox" would not use it',
                f'unset {name}, or type target = "live" in the site file',
            )


def starter_site_file(name: str, *, target: Target = "sandbox", road: Road = "realm") -> str:
    """The text of a new site file, with the answers that most sites change and a word on each.

    Raises: SettingsError for a name that the file could not be read back with.
    """
    if not re.fullmatch(SITE_NAME, name):
        raise SettingsError(
            "write a site file",
            f"the site's name is {name!r}",
            "use lower-case letters, digits and hyphens, at most 40, such as my-site",
        )
    fields = {entry.replace(".", "_"): value for entry, value in names_for(name).items()}
    return _STARTER.format(name=name, target=target, road=road, **fields)


_STARTER = """\
# Site file of bw-runbook: one per site, the same for notebooks and for `bw-runbook run`.
# A secret is always a reference: env:NAME, keyring:service/name, file:path (mode 0600) or prompt:
# The names below come from the site's own name, so that two sites on one account or PBX stay apart.
name = "{name}"
target = "{target}"          # "live" works on a real Bandwidth account
walk = "run"                 # "click": in JupyterLab a cell waits for its buttons
road = "{road}"              # "realm", or "sip-uri": Bandwidth's Inbound SIP URI instead of realm and credential

[application]                # guide step 1
name = "{application_name}"
callback_url = ""            # empty: this project's readback, on the sandbox

[realm]                      # guide step 2; Bandwidth lengthens the name
name = "{realm_name}"

[sip_credential]
username = "{sip_credential_username}"
password = "file:secrets/sip_password"

[sip_uri]                    # with road = "sip-uri": Bandwidth makes the password, it is kept here
password = "file:secrets/sip_uri_password"

[pbx]                        # guide step 3
trunk = "{pbx_trunk}"
route = "{pbx_route}"
extension = "{pbx_extension}"
extension_secret = "file:secrets/extension_secret"

[test]
dial = "+19195550199"        # what the phone dials, in E.164
digit = "4"                  # what it presses when asked
"""


def names_for(site: str) -> dict[str, str]:
    """The names a site uses where its file gives none, by dotted entry: taken from the site's own name.

    The extension is one of 101 to 799, the same for the same name.
    """
    return {
        "application.name": f"PBX Interconnect {site}",
        "realm.name": site.replace("-", "")[:30],
        "sip_credential.username": site[:32],
        "pbx.trunk": site[:32],
        "pbx.route": site[:32],
        "pbx.extension": str(101 + crc32(site.encode()) % 699),
    }
