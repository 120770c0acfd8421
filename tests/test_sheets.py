"""Settings sheets: each as it is printed (tests/sheets/*.txt, written anew with UPDATE_SHEETS=1), and what may
never be in one."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sheet_text import snippets

from bwlib.errors import SettingsError
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import checks, dial_pattern
from bwlib.pbx.asterisk_read import settings_from_text, trunk_from
from bwlib.pbx.by_hand import PRODUCTS, Kept, settings_sheet

GOLDEN = Path(__file__).with_name("sheets")
REALM = "acme-1a2b3c.auth.bandwidth.com"
URI = "7f6e0a9c-1111-4222-8333-944455556666"
URI_HOST = "sip-uri.voice-api.bandwidth.com"
CANARIES = ("Canary-Of-The-Trunk", "Canary-Of-The-Phone")

TRUNK = Trunk("bandwidth", REALM, "acme-pbx", SecretStr(CANARIES[0]), "+19195550100", REALM, inbound_extension="101",
              bandwidth_ips=("192.0.2.1", "203.0.113.0/24"))  # fmt: skip
ROUTE = OutboundRoute("us", "NXXNXXXXXX", "+1", "bandwidth", "+19195550100")
EXTENSION = Extension("101", SecretStr(CANARIES[1]), "us", "Front desk")
KEPT = Kept("file:secrets/sip_password", "file:secrets/extension_secret")

OTHER_TRUNK = replace(TRUNK, port=5078, outbound_proxy="127.0.0.2:5060", send_pai=True, qualify_s=30,
                      bandwidth_ips=(), inbound_extension=None)  # fmt: skip
SECOND_ROAD = (
    replace(TRUNK, server=URI_HOST, from_domain=URI_HOST, username=URI),
    replace(ROUTE, request_uri=f"sip:{URI}@{URI_HOST}", number_header="X-Dialed-Number"),
)
VARIANTS = {"": (TRUNK, ROUTE), "-sip-uri": SECOND_ROAD, "-other": (OTHER_TRUNK, ROUTE)}

every_pbx = pytest.mark.parametrize("pbx", PRODUCTS)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def sheet(pbx: str, variant: str = "", extension: Extension = EXTENSION) -> str:
    return settings_sheet(pbx, *VARIANTS[variant], extension, KEPT)


# ---------------------------------------------------------------- as printed


@every_pbx
@pytest.mark.parametrize("variant", ["", "-sip-uri"])
def test_a_sheet_is_as_it_was_when_somebody_read_it(pbx: str, variant: str) -> None:
    file, text = GOLDEN / f"{pbx}{variant}.txt", sheet(pbx, variant)
    if os.environ.get("UPDATE_SHEETS") == "1":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), "read it; if it is right: UPDATE_SHEETS=1"


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.glob("*.txt")} == {f"{pbx}{v}" for pbx in PRODUCTS for v in ("", "-sip-uri")}


def test_every_pbx_has_a_template_and_every_template_a_pbx() -> None:
    templates = Path(checks.__file__).with_name("sheets").glob("[!_]*.txt")
    assert {file.stem for file in templates} == set(PRODUCTS)


@every_pbx
@every_variant
def test_a_sheet_says_every_value_and_where_the_secrets_are_kept(pbx: str, variant: str) -> None:
    text, (trunk, route) = sheet(pbx, variant), VARIANTS[variant]
    wanted = {trunk.server, trunk.from_user, trunk.outbound_proxy, EXTENSION.number, *trunk.bandwidth_ips}
    wanted |= {KEPT.extension_secret, route.request_uri}
    if PRODUCTS[pbx].authenticates or not route.request_uri:  # by address alone there is no user and no password
        wanted |= {trunk.username, KEPT.sip_password}
    assert [value for value in wanted if value and value not in text] == []


@every_pbx
def test_a_sheet_that_does_not_know_the_place_sends_to_the_site_file(pbx: str) -> None:
    assert "kept where the site file says" in settings_sheet(pbx, TRUNK, ROUTE, EXTENSION)


@every_pbx
@every_variant
def test_no_sheet_holds_a_secret_or_its_hash(pbx: str, variant: str) -> None:
    text, trunk = sheet(pbx, variant), VARIANTS[variant][0]
    realm = trunk.server
    hashes = [
        md5(f"{user}:{realm}:{CANARIES[0]}".encode()).hexdigest()
        for user in (trunk.username, f"{trunk.username}@{realm}")
    ]
    assert [secret for secret in (*CANARIES, *hashes) if secret.lower() in text.lower()] == []


@every_pbx
def test_a_sheet_says_how_sure_it_is(pbx: str) -> None:
    text = sheet(pbx)
    assert any(mark in text for mark in ("[ran]", "[doc]", "[mem]"))
    assert "Rests on:" in text


@pytest.mark.parametrize("pbx", ["3cx", "yeastar"])
def test_what_does_not_fit_the_guide_is_said_with_the_ways_round(pbx: str) -> None:
    text = sheet(pbx)
    assert "no trunk that authenticates without registering" in " ".join(text.split())
    assert 'road = "sip-uri"' in text
    assert "registrar" in text


# ---------------------------------------------------------------- refused


def test_an_unknown_pbx_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="kamailio"):
        settings_sheet("kamalio", TRUNK, ROUTE, EXTENSION)


def test_there_is_no_sheet_for_a_trunk_that_registers() -> None:
    with pytest.raises(SettingsError, match="registers"):
        settings_sheet("any", replace(TRUNK, registration=True), ROUTE, EXTENSION)


HOSTILE = ['a"b', "a<b", "a;b", "a$b", "a\nb", "a'b", "a]b", "a{b", "a`b", "a\\b", "a b", "${x}", "{{ x }}"]


@every_pbx
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_could_break_out_of_a_snippet_is_refused(pbx: str, name: str) -> None:
    for trunk, route in (
        (replace(TRUNK, name=name), ROUTE),
        (replace(TRUNK, username=name), ROUTE),
        (replace(TRUNK, server=name), ROUTE),
        (replace(TRUNK, outbound_proxy=name), ROUTE),
        (TRUNK, replace(ROUTE, name=name)),
        (TRUNK, replace(ROUTE, caller_id=name)),
        (TRUNK, replace(ROUTE, request_uri=f"sip:{name}@{REALM}", number_header="X-Dialed-Number")),
    ):
        with pytest.raises(SettingsError):
            settings_sheet(pbx, trunk, route, EXTENSION)


@given(st.text(max_size=20))
def test_a_display_name_is_refused_or_one_value_of_the_xml(display_name: str) -> None:
    try:
        text = sheet("freeswitch", extension=replace(EXTENSION, display_name=display_name))
    except SettingsError:
        return
    user = fromstring(snippets(text)["conf/directory/default/101.xml"])
    names = [each.get("value") for each in user.iter("variable") if each.get("name") == "effective_caller_id_name"]
    assert names == [display_name or "101"]
    assert "$" not in display_name


# ---------------------------------------------------------------- read by programs


@every_variant
def test_freeswitchs_snippets_are_xml(variant: str) -> None:
    files = snippets(sheet("freeswitch", variant))
    trees = {name: fromstring(text) for name, text in files.items()}
    params = {
        each.get("name"): each.get("value") for each in trees["conf/sip_profiles/external/bandwidth.xml"].iter("param")
    }
    assert (params["register"], params["realm"]) == ("false", VARIANTS[variant][0].server)


@every_variant
def test_asterisks_lines_are_the_trunk(variant: str) -> None:
    text = snippets(sheet("asterisk", variant))["add to pjsip.conf"].partition("[101]")[0]
    trunk = VARIANTS[variant][0]
    found = trunk_from("bandwidth", settings_from_text(text), trunk.inbound_extension, False)
    assert found is not None
    assert replace(found, password=trunk.password) == trunk


REFERENCES = {
    "file:secrets/it's here": "",
    "env:BW_SHEET_TEST": "",
    "prompt:": f"{CANARIES[0]}\n",
    "keyring:a/b": f"{CANARIES[0]}\n",
}


@pytest.mark.parametrize("pbx", ["kamailio", "opensips"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_the_line_that_makes_ha1_makes_ha1_and_shows_nothing(pbx: str, reference: str, tmp_path: Path) -> None:
    command = snippets(settings_sheet(pbx, TRUNK, ROUTE, EXTENSION, Kept(reference)))["bash: HA1"]
    command = command.replace(f"/etc/{pbx}/bandwidth-secret.cfg", str(tmp_path / "made.cfg"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "it's here").write_text(CANARIES[0] + "\n")
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", command], cwd=tmp_path, env={"PATH": os.environ["PATH"], "BW_SHEET_TEST": CANARIES[0]},
        input=REFERENCES[reference], capture_output=True, text=True, check=True,
    )  # fmt: skip
    ha1 = md5(f"acme-pbx:{REALM}:{CANARIES[0]}".encode()).hexdigest()
    made = tmp_path / "made.cfg"
    assert made.read_text() in (
        f'#!define BW_HA1 "{ha1}"\n',
        f'modparam("uac_auth", "credential", "acme-pbx:{REALM}:0x{ha1}")\n',
    )
    assert made.stat().st_mode & 0o777 == 0o600
    assert CANARIES[0] not in done.stdout + done.stderr


# ---------------------------------------------------------------- dial patterns


@pytest.mark.parametrize(
    ("pattern", "regex", "ios", "length"),
    [
        ("NXXNXXXXXX", "[2-9][0-9]{2}[2-9][0-9]{6}", "[2-9]..[2-9]......", 10),
        ("+1NXX", "[+]1[2-9][0-9]{2}", "+1[2-9]..", 5),
        ("00Z[3-57]X", "0{2}[1-9][3-57][0-9]", "00[1-9][3-57].", 5),
    ],
)
def test_a_dial_pattern_is_said_in_other_dialects(pattern: str, regex: str, ios: str, length: int) -> None:
    assert (dial_pattern.regex(pattern), dial_pattern.ios(pattern), dial_pattern.length(pattern)) == (
        regex,
        ios,
        length,
    )
