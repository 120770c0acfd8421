"""The texts of the sandbox PBX's configuration files. Pure: nothing is written here.

Sources: Asterisk's sample files and docs.asterisk.org/Configuration. Everything is bound to loopback.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Loaded in this order; a module that an older Asterisk lacks is left out. Nothing else is loaded: a PBX that is ready
# in about a second, and no module that could run a shell command.
MODULES = (
    # ground: configuration storage, timing, PJSIP itself
    "res_timing_timerfd", "res_pjproject", "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb",
    "res_pjsip", "res_pjsip_pubsub", "res_pjsip_session", "res_rtp_asterisk", "res_pjsip_sdp_rtp",
    # who is calling, both directions of digest authentication, registrations
    "res_pjsip_endpoint_identifier_user", "res_pjsip_endpoint_identifier_ip", "res_pjsip_acl",
    "res_pjsip_authenticator_digest", "res_pjsip_outbound_authenticator_digest",
    "res_pjsip_registrar", "res_pjsip_outbound_registration", "res_pjsip_maintenance",
    # manners: caller id, NAT, DTMF, Reason headers, OPTIONS in a dialogue
    "res_pjsip_caller_id", "res_pjsip_nat", "res_pjsip_dtmf_info", "res_pjsip_empty_info", "res_pjsip_rfc3326",
    "res_pjsip_header_funcs", "res_pjsip_dlg_options",
    # seeing what happens: `pjsip set logger`, `pjsip set history`
    "res_pjsip_logger", "res_pjsip_history",
    "chan_pjsip",
    # joining two legs, codecs, files to play
    "bridge_simple", "bridge_native_rtp", "bridge_builtin_features",
    "codec_ulaw", "codec_alaw", "codec_a_mu", "codec_g722", "codec_gsm", "codec_resample",
    "format_pcm", "format_wav", "format_sln", "format_gsm",
    # dialplan
    "pbx_config", "app_stack", "app_dial", "app_echo", "app_playback", "app_verbose", "app_exec", "app_milliwatt",
    "func_callerid", "func_channel", "func_cut", "func_hangupcause", "func_logic", "func_strings", "func_dialplan",
    "func_pjsip_aor", "func_pjsip_contact", "func_pjsip_endpoint",
)  # fmt: skip

PERSONS_PJSIP = """\
; The PBX of this office. Extension 800 was here before Bandwidth was.
#include sandbox_transport.conf

[800]
type = endpoint
context = office
disallow = all
allow = ulaw
auth = 800
aors = 800

[800]
type = auth
auth_type = userpass
username = 800
password = {secret}

[800]
type = aor
max_contacts = 1
"""

PERSONS_EXTENSIONS = """\
; The dialplan of this office.
[office]
exten => 800,1,NoOp(Echo test of the office)
 same => n,Answer()
 same => n,Echo()
 same => n,Hangup()
"""

# Written once, then left to their owner. {secret} is random per installation.
PERSONS_FILES = {"pjsip.conf": PERSONS_PJSIP, "extensions.conf": PERSONS_EXTENSIONS}


def config_files(
    *,
    root: Path,
    module_dir: Path,
    data_dir: Path,
    modules: Sequence[str],
    max_files: int,
    sip: tuple[str, int],
    rtp_ports: tuple[int, int],
    ami: tuple[int, str, str],
) -> dict[str, str]:
    """File name -> text. sip: (host, port); ami: (port, user, secret)."""
    return {
        "asterisk.conf": _asterisk(root, module_dir, data_dir, max_files),
        "modules.conf": "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in modules),
        "logger.conf": _LOGGER,
        "manager.conf": _manager(*ami),
        "rtp.conf": f"[general]\nrtpstart = {rtp_ports[0]}\nrtpend = {rtp_ports[1]}\nstrictrtp = yes\n",
        "sandbox_transport.conf": _transport(*sip),
        # Asterisk complains about these when they are missing
        "features.conf": "[general]\n",
        "cdr.conf": "[general]\nenable = no\n",
        "cel.conf": "[general]\nenable = no\n",
        "ccss.conf": "[general]\n",
        "acl.conf": "",
        "pjproject.conf": "",
        "stasis.conf": "",
        "udptl.conf": "[general]\n",
        "indications.conf": _INDICATIONS,
    }


# No "security" level: it would write digest responses into the log.
_LOGGER = """\
[general]
queue_log = no
dateformat = %F %T.%3q
[logfiles]
messages => notice,warning,error
"""

# Tones of the USA (ITU-T E.180 supplement): without a country, playing a tone fails.
_INDICATIONS = """\
[general]
country = us
[us]
description = United States
ringcadence = 2000,4000
dial = 350+440
busy = 480+620/500,0/500
ring = 440+480/2000,0/4000
congestion = 480+620/250,0/250
callwaiting = 440/300,0/10000
dialrecall = !350+440/100,!0/100,350+440
record = 1400/500,0/15000
info = !950/330,!1400/330,!1800/330,0
"""


def _asterisk(root: Path, module_dir: Path, data_dir: Path, max_files: int) -> str:
    directories = {
        "astetcdir": root / "etc",
        "astmoddir": module_dir,
        "astvarlibdir": root / "var",
        "astdatadir": data_dir,
        "astdbdir": root / "db",
        "astkeydir": root / "keys",
        "astagidir": root / "agi",
        "astspooldir": root / "spool",
        "astrundir": root / "run",
        "astlogdir": root / "log",
    }
    lines = [f"{key} => {path}" for key, path in directories.items()]
    options = [f"maxfiles = {max_files}", "live_dangerously = no", "hideconnect = yes"]
    return "\n".join(["[directories]", *lines, "[options]", *options, ""])


def _manager(port: int, user: str, secret: str) -> str:
    return (
        f"[general]\nenabled = yes\nbindaddr = 127.0.0.1\nport = {port}\nwebenabled = no\n"
        f"[{user}]\nsecret = {secret}\n"
        "deny = 0.0.0.0/0.0.0.0\npermit = 127.0.0.1/255.255.255.255\n"
        "read = system,call,reporting,security\nwrite = system,command,config,reporting\n"
    )


def _transport(host: str, port: int) -> str:
    # By username first: when phone and edge share one address, the phone must not be taken for the trunk.
    return (
        "[global]\ntype = global\nuser_agent = Asterisk\nendpoint_identifier_order = username,ip\n\n"
        f"[transport-udp]\ntype = transport\nprotocol = udp\nbind = {host}:{port}\n"
    )
