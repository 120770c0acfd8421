"""What can be wrong on the PBX: each an edit of one file of the sandbox's Asterisk, made as a person makes it."""

from __future__ import annotations

import socket
import string

from bwlib.pbx.asterisk import DIALPLAN, PJSIP
from bwlib.pbx.asterisk_files import FOLDER
from bwlib.pbx.asterisk_text import INBOUND_CONTEXT
from bwlib.training.config_edits import (
    Edit,
    add_section,
    both,
    drop_option,
    drop_section,
    option_of,
    replace_all,
    set_option,
)
from bwlib.training.stage import Stage, change_file, mend_file, wait_for_contact

OURS, OUR_DIALPLAN = f"{FOLDER}/{PJSIP}", f"{FOLDER}/{DIALPLAN}"
_QUALIFY_S = "2"


def made_up(stage: Stage, length: int = 20) -> str:
    """A password of the trainer's."""
    return "".join(stage.random.choices(string.ascii_letters + string.digits, k=length))


def dead_address(stage: Stage) -> str:
    """host:port beside the edge, where nobody listens."""
    host = stage.sandbox.edge[0]
    while True:
        port = stage.random.randrange(10_000, 60_000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return f"{host}:{port}"


# ------------------------------------------------------------------ the trunk


def wrong_password(stage: Stage) -> Edit:
    return set_option(f"{stage.settings.pbx.trunk}-auth", "auth", "password", made_up(stage))


def wrong_username(stage: Stage) -> Edit:
    """Two letters changed places."""
    right = stage.settings.sip_credential.username
    places = [at for at in range(len(right) - 1) if right[at] != right[at + 1]]
    at = stage.random.choice(places) if places else 0
    wrong = right[:at] + right[at + 1 : at + 2] + right[at] + right[at + 2 :] if places else right + right
    return set_option(f"{stage.settings.pbx.trunk}-auth", "auth", "username", wrong)


def pinned_realm(stage: Stage) -> Edit:
    """The realm's short name, where only the full one would do, and best nothing."""
    return set_option(f"{stage.settings.pbx.trunk}-auth", "auth", "realm", stage.settings.realm.name)


def no_outbound_auth(stage: Stage) -> Edit:
    return drop_option(stage.settings.pbx.trunk, "endpoint", "outbound_auth")


def wrong_realm_host(stage: Stage) -> Edit:
    """Another hexadecimal part: the realm of some other account."""
    other = "".join(stage.random.choices("0123456789abcdef", k=6))
    host = f"{stage.settings.realm.name}-{other}.auth.bandwidth.test"
    return set_option(stage.settings.pbx.trunk, "aor", "contact", f"sip:{host}")


def foreign_caller_id(stage: Stage) -> Edit:
    """From without + and country, or a number that is not the account's. The trunk's From user wins over the route."""
    number = stage.sandbox.number
    foreign = f"+1{stage.random.randrange(201, 989)}555{stage.random.randrange(1000, 9999)}"
    wrong = stage.random.choice([number.removeprefix("+1"), number.removeprefix("+"), foreign])
    return set_option(stage.settings.pbx.trunk, "endpoint", "from_user", wrong)


def codec_mismatch(stage: Stage) -> Edit:
    return set_option(stage.settings.pbx.trunk, "endpoint", "allow", "!all,g722")


def through(stage: Stage, proxy: str) -> Edit:
    """Both endpoint and aor send to this proxy."""
    trunk, value = stage.settings.pbx.trunk, f"sip:{proxy};lr"
    return both(
        set_option(trunk, "endpoint", "outbound_proxy", value), set_option(trunk, "aor", "outbound_proxy", value)
    )


def dead_port(stage: Stage) -> Edit:
    return through(stage, dead_address(stage))


def without_proxy(stage: Stage) -> Edit:
    trunk = stage.settings.pbx.trunk
    return both(drop_option(trunk, "endpoint", "outbound_proxy"), drop_option(trunk, "aor", "outbound_proxy"))


def qualified(stage: Stage) -> Edit:
    return set_option(stage.settings.pbx.trunk, "aor", "qualify_frequency", _QUALIFY_S)


def put_in_qualify_dead(stage: Stage) -> None:
    """Returns once Asterisk has noticed that nobody answers."""
    change_file(stage, "qualify-dead", both(dead_port(stage), qualified(stage)), OURS)
    wait_for_contact(stage, "Unreachable")


def put_in_realm_unresolved_qualified(stage: Stage) -> None:
    change_file(stage, "realm-unresolved-qualified", both(without_proxy(stage), qualified(stage)), OURS)
    wait_for_contact(stage, "Unreachable")


def dtmf_info(stage: Stage) -> Edit:
    return set_option(stage.settings.pbx.trunk, "endpoint", "dtmf_mode", "info")


def put_in_nat_address(stage: Stage) -> None:
    """An address of RFC 5737, which nobody has; and a realm that sends to what the SDP says, as some do."""
    stage.sandbox.set_switch("symmetric_rtp", "no")
    address = f"203.0.113.{stage.random.randrange(2, 250)}"
    edit = set_option(stage.settings.pbx.trunk, "endpoint", "media_address", address)
    change_file(stage, "nat-address", edit, OURS)


def mend_nat_address(stage: Stage) -> None:
    mend_file(stage, "nat-address")
    stage.sandbox.set_switch("symmetric_rtp", "yes")


def no_identify(stage: Stage) -> Edit:
    return drop_section(f"{stage.settings.pbx.trunk}-identify", "identify")


def wrong_identify(stage: Stage) -> Edit:
    address = f"198.51.100.{stage.random.randrange(2, 250)}"
    return set_option(f"{stage.settings.pbx.trunk}-identify", "identify", "match", address)


def registration(stage: Stage, proxy: str) -> Edit:
    """The section that examples on the web have, at the end of the trunk's."""
    trunk, username = stage.settings.pbx.trunk, stage.settings.sip_credential.username
    contact = option_of(stage.read(OURS), trunk, "aor", "contact")
    return add_section(
        trunk,
        f"{trunk}-reg",
        "registration",
        {
            "server_uri": contact,
            "client_uri": f"sip:{username}@{contact.removeprefix('sip:')}",
            "outbound_auth": f"{trunk}-auth",
            "outbound_proxy": f"sip:{proxy}\\;lr",
        },
    )


def registration_on(stage: Stage) -> Edit:
    return registration(stage, "{}:{}".format(*stage.sandbox.edge))


def registration_silent(stage: Stage) -> Edit:
    return registration(stage, dead_address(stage))


def put_in_reload_pending(stage: Stage) -> None:
    """The file is right by now, but what runs was read before that."""
    right = stage.read(OURS)
    stage.keep("reload-pending", [])
    stage.write(OURS, wrong_password(stage)(right))
    stage.reload()
    stage.write(OURS, right)


# ------------------------------------------------------------------ route and extension


def unknown_inbound(stage: Stage) -> Edit:
    """The context of Bandwidth's calls knows another number than the extension's."""
    number = stage.settings.pbx.extension
    other = str(stage.random.choice([n for n in range(101, 800) if str(n) != number]))
    pattern = rf"(\[{INBOUND_CONTEXT}\]\n(?:(?!\[).*\n)*?exten => ){number},1,"
    return replace_all(pattern, rf"\g<1>{other},1,")


def no_route(stage: Stage) -> Edit:
    """The route takes local numbers only: seven digits, or ten that begin with the office's own area."""
    dialled = stage.settings.test.dial
    own = next(area for area in iter(lambda: str(stage.random.randrange(205, 900)), "") if area not in dialled)
    local = stage.random.choice(["NXXXXXX", f"{own}NXXXXXX"])
    return replace_all(r"(?m)^(exten => _\+?1?)NXXNXXXXXX,", rf"\g<1>{local},")


def wrong_context(stage: Stage) -> Edit:
    """The phone dials in the office's own context, which has no way out."""
    return set_option(stage.settings.pbx.extension, "endpoint", "context", "office")


def phone_password(stage: Stage) -> Edit:
    return set_option(f"{stage.settings.pbx.extension}-auth", "auth", "password", made_up(stage))


def phone_codec(stage: Stage) -> Edit:
    return set_option(stage.settings.pbx.extension, "endpoint", "allow", "!all,gsm")


def extension_unregistered(stage: Stage) -> Edit:
    """The extension takes no contact at all: every REGISTER is refused with 403."""
    return set_option(stage.settings.pbx.extension, "aor", "max_contacts", "0")


def stale_contact(stage: Stage) -> Edit:
    """A contact of a phone that is long gone, written down for good."""
    host = stage.sandbox.edge[0]
    port = dead_address(stage).rpartition(":")[2]
    return set_option(
        stage.settings.pbx.extension, "aor", "contact", f"sip:{stage.settings.pbx.extension}@{host}:{port}"
    )
