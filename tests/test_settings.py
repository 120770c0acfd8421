"""One site file in, one checked Settings out; anything wrong is named with its field, and no secret is repeated."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwlib.errors import SettingsError
from bwlib.settings import Settings, load_settings, names_for, starter_site_file

PLAIN = "hunter2-hunter2"


def site(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text('name = "my-site"\n' + text, encoding="utf-8")
    return path


def refusal(path: Path, **overrides: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {name.replace("__", "."): value for name, value in overrides.items()})
    assert caught.value.exit_code == 6
    return caught.value


@pytest.fixture(autouse=True)
def no_bandwidth_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BW_API_URL", "BW_VOICE_URL"):
        monkeypatch.delenv(name, raising=False)


# ---------------------------------------------------------------- the file


def test_a_name_is_enough(tmp_path: Path) -> None:
    settings = load_settings(site(tmp_path, ""))
    assert settings.target == "sandbox"
    assert settings.realm.name == "mysite"
    assert settings.runs_dir == tmp_path / "runs" / "my-site"


def test_a_missing_file_names_the_notebook_that_writes_it(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none.toml")
    assert "no such file" in error.came_back
    assert "00_start" in error.do_next


def test_an_empty_file_is_told_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("# only a remark\n")
    error = refusal(tmp_path / "site.toml")
    assert error.came_back == "it is empty"
    assert "name =" in error.do_next


@pytest.mark.parametrize("text", ["[realm", 'name = "x"', "realm = ", "= 1", '[sip_credential]\npassword = "open'])
def test_malformed_toml_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    error = refusal(site(tmp_path, text))
    assert "not TOML" in error.came_back
    assert "line" in error.came_back or "end of document" in error.came_back


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_bytes(b'name = "\xff\xfe"')
    assert "UTF-8" in refusal(tmp_path / "site.toml").do_next


def test_a_folder_is_refused_like_an_unreadable_file(tmp_path: Path) -> None:
    assert "readable" in refusal(tmp_path).do_next


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("colour = 1", "colour"),
        ("[realm]\nnmae = 'x'", "realm.nmae"),
        ("[relm]\nname = 'x'", "relm"),
        ("path = '/somewhere/else.toml'", "path"),
    ],
)
def test_an_unknown_entry_is_named(tmp_path: Path, text: str, field: str) -> None:
    assert f"{field}: unknown entry" in refusal(site(tmp_path, text)).came_back


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    said = refusal(site(tmp_path, "[realm]\nname = 'UPPER'\n[pbx]\nextension = 'x'\n")).came_back
    assert "realm.name" in said
    assert "pbx.extension" in said


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "field",
    [
        "sip_credential.password",
        "bandwidth.client_secret",
        "application.callback_password",
        "pbx.ami_secret",
        "pbx.extension_secret",
        "readback.token",
    ],
)
def test_a_plain_secret_is_refused_and_never_repeated(tmp_path: Path, field: str) -> None:
    table, _, entry = field.partition(".")
    error = refusal(site(tmp_path, f"[{table}]\n{entry} = '{PLAIN}'\n"))
    assert field in error.came_back
    assert "env:NAME" in error.came_back
    assert PLAIN not in str(error)
    assert PLAIN not in repr(error)


def test_a_plain_secret_as_a_parameter_is_refused_too(tmp_path: Path) -> None:
    error = refusal(site(tmp_path, ""), sip_credential__password=PLAIN)
    assert "sip_credential.password" in error.came_back
    assert PLAIN not in str(error)


def test_a_secret_under_a_wrong_type_or_table_is_not_repeated(tmp_path: Path) -> None:
    for text in (f"sip_credential = '{PLAIN}'", f"[sip_credential]\npassword = ['{PLAIN}']", f"secret = '{PLAIN}'"):
        assert PLAIN not in str(refusal(site(tmp_path, text)))


def test_a_reference_with_a_line_break_is_no_reference(tmp_path: Path) -> None:
    path = site(tmp_path, '[sip_credential]\npassword = "env:A\\nB"\n')
    assert "sip_credential.password" in refusal(path).came_back


@pytest.mark.parametrize("field", ["callback_url", "status_url"])
def test_a_password_inside_a_url_is_refused_and_not_repeated(tmp_path: Path, field: str) -> None:
    error = refusal(site(tmp_path, f"[application]\n{field} = 'https://user:{PLAIN}@example.com/x'\n"))
    assert f"application.{field}" in error.came_back
    assert PLAIN not in str(error)


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize("name", ["Upper", "with-hyphen", "with.dot", "with space", "", "a" * 31, "ümlaut", "a\\nb"])
def test_a_realm_name_outside_what_dashboard_and_api_take_is_refused(tmp_path: Path, name: str) -> None:
    assert "realm.name" in refusal(site(tmp_path, f'[realm]\nname = "{name}"\n')).came_back


def test_a_realm_name_of_thirty_letters_and_digits_is_taken(tmp_path: Path) -> None:
    assert load_settings(site(tmp_path, f'[realm]\nname = "{"a1" * 15}"\n')).realm.name == "a1" * 15


@pytest.mark.parametrize(
    "number", ["9195550100", "+1 919 555 0100", "+1919", "+0123456789", "tel:+19195550100", "+١٩١٩٥٥٥٠١٠٠", "+", "x"]
)
def test_what_is_not_e164_is_refused(tmp_path: Path, number: str) -> None:
    for field in ("bandwidth.number", "test.dial"):
        table, _, entry = field.partition(".")
        assert f"{field}: " in refusal(site(tmp_path, f"[{table}]\n{entry} = '{number}'\n")).came_back


def test_numbers_of_other_countries_are_taken(tmp_path: Path) -> None:
    assert load_settings(site(tmp_path, "[test]\ndial = '+442079460123'\n")).test.dial == "+442079460123"


@pytest.mark.parametrize(
    "url", ["example.com/x", "ftp://example.com", "https://", "http://[::1", "https://a b/", "https://x:99999/", "/x"]
)
def test_what_is_no_url_is_refused(tmp_path: Path, url: str) -> None:
    said = refusal(site(tmp_path, f"[application]\ncallback_url = '{url}'\n")).came_back
    assert "application.callback_url: must be an http:// or https:// URL" in said


@pytest.mark.parametrize(
    "line",
    [
        "[pbx]\nbandwidth_ips = ['not-an-address']",
        "[pbx]\ntrunk = 'a]b'",
        "[pbx]\nroute = '-x'",
        "[pbx]\nextension = '1'",
        "[pbx]\nami_port = 0",
        "[test]\ndigit = '44'",
        "[test]\nheard_threshold = nan",
        "[test]\nheard_threshold = 0.79",
        "[test]\nheard_threshold = 1.01",
        "[realm]\nwait_s = inf",
        "[realm]\nwait_s = -1",
        "[sip_credential]\nusername = 'a:b'",
        "[application]\nname = ''",
        "target = 'production'",
    ],
)
def test_values_out_of_range_are_refused_with_their_field(tmp_path: Path, line: str) -> None:
    table, _, rest = line.rpartition("\n")
    field = ".".join(filter(None, [table.strip("[]"), rest.partition(" ")[0]]))
    assert field in refusal(site(tmp_path, line + "\n")).came_back


def test_space_around_names_is_dropped_as_bandwidth_does(tmp_path: Path) -> None:
    settings = load_settings(site(tmp_path, "[application]\nname = ' PBX '\n[realm]\ndescription = 'd '\n"))
    assert settings.application.name == "PBX"
    assert settings.realm.description == "d"


@given(text=st.text(max_size=60))
def test_no_site_name_breaks_out_of_its_folder(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    try:
        settings = Settings.model_validate({"name": text})
    except ValueError:
        return
    assert settings.runs_dir.name == settings.name
    assert settings.runs_dir.parent.name == "runs"


# ---------------------------------------------------------------- fields together


@pytest.mark.parametrize("field", ["callback_url", "status_url"])
def test_callback_credentials_need_https(tmp_path: Path, field: str) -> None:
    text = "[application]\ncallback_user = 'u'\ncallback_password = 'env:CALLBACK'\n"
    other = "" if field == "callback_url" else "callback_url = 'https://example.com/'\n"
    error = refusal(site(tmp_path, f"{text}{other}{field} = 'http://example.com/'\n"))
    assert f"application.{field} is not https" in error.came_back
    assert "12812" in error.do_next


def test_the_scheme_is_read_without_case(tmp_path: Path) -> None:
    text = "[application]\ncallback_user = 'u'\ncallback_password = 'env:C'\ncallback_url = 'HTTPS://example.com/'\n"
    assert load_settings(site(tmp_path, text)).application.callback_user == "u"


@pytest.mark.parametrize("line", ["callback_user = 'u'", "callback_password = 'env:CALLBACK'"])
def test_callback_user_and_password_go_together(tmp_path: Path, line: str) -> None:
    error = refusal(site(tmp_path, f"[application]\ncallback_url = 'https://example.com/'\n{line}\n"))
    assert "go together" in error.came_back


def test_a_callback_user_that_the_sandbox_would_not_use_is_refused(tmp_path: Path) -> None:
    error = refusal(site(tmp_path, "[application]\ncallback_user = 'u'\ncallback_password = 'env:CALLBACK'\n"))
    assert "application.callback_url is empty" in error.came_back
    assert "callback_user" in error.do_next


@pytest.mark.parametrize("name", ["BW_API_URL", "BW_VOICE_URL"])
def test_a_live_url_in_the_environment_conflicts_with_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "https://api.bandwidth.com/api/v2")
    assert name in refusal(site(tmp_path, "")).came_back
    live = site(tmp_path, "target = 'live'\n[application]\ncallback_url = 'https://example.com/'\n")
    assert load_settings(live).target == "live"


def test_live_needs_a_callback_url(tmp_path: Path) -> None:
    error = refusal(site(tmp_path, "target = 'live'\n"))
    assert "application.callback_url is empty" in error.came_back
    assert "https" in error.do_next


# ---------------------------------------------------------------- overrides


def test_overrides_win_and_none_does_not_count(tmp_path: Path) -> None:
    path = site(tmp_path, "[realm]\nname = 'fromfile'\n")
    overrides = {"realm.name": None, "realm.description": "given", "pbx.extension": "102", "operator_note": "why"}
    settings = load_settings(path, overrides)
    assert (settings.realm.name, settings.realm.description) == ("fromfile", "given")
    assert (settings.pbx.extension, settings.operator_note) == ("102", "why")


@pytest.mark.parametrize("name", ["realm.colour", "nothing.at_all", "path"])
def test_an_unknown_override_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="unknown entry"):
        load_settings(site(tmp_path, ""), {name: "x"})


def test_an_override_is_checked_like_the_file(tmp_path: Path) -> None:
    assert "realm.name" in refusal(site(tmp_path, ""), realm__name="Not Allowed").came_back


# ---------------------------------------------------------------- the starter file


@pytest.mark.parametrize("target", ["sandbox", "live"])
def test_the_starter_file_is_what_the_defaults_say(tmp_path: Path, target: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(starter_site_file("new-site", target="live" if target == "live" else "sandbox"))
    table = tomllib.loads(path.read_text())
    assert (table["name"], table["target"]) == ("new-site", target)
    if target == "sandbox":
        starter = load_settings(path)
        path.write_text('name = "new-site"\n')
        assert starter == load_settings(path)


@pytest.mark.parametrize("name", ["My Site", "", 'x"\ntarget = "live', "../up", "a\n"])
def test_a_starter_file_that_could_not_be_read_back_is_not_written(name: str) -> None:
    with pytest.raises(SettingsError, match="lower-case"):
        starter_site_file(name)


def test_two_sites_share_no_name() -> None:
    one, other = names_for("demo"), names_for("my-site")
    assert [entry for entry in one if one[entry] == other[entry]] == []


@pytest.mark.parametrize("site_name", ["a", "a-b", "x" * 40, "0-9", "a" * 31 + "-b"])
def test_the_names_taken_from_a_site_are_allowed_names(tmp_path: Path, site_name: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f'name = "{site_name}"\n')
    settings = load_settings(path)
    assert 101 <= int(settings.pbx.extension) <= 799
    assert settings.realm.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[realm]\nname = "Not"', "lower-case letters and digits only"),
        ('[pbx]\nextention = "1"', "did you mean extension?"),
        ("[pbx]\nextension = 101", "in quotes"),
        ('[pbx]\nsip_port = "a"', "without quotes"),
        ('[pbx]\nbandwidth_ips = ["0.0.0.0/0"]', "far too many"),
    ],
)
def test_a_fault_is_told_in_words_with_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f'name = "x"\n{text}\n')
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_settings(path)


def test_a_site_can_have_an_account_of_its_own_in_the_sandbox(tmp_path: Path) -> None:
    named = site(tmp_path, "[bandwidth]\nsandbox_account = 'site-7'\n")
    assert load_settings(named).bandwidth.sandbox_account == "site-7"
    assert "sandbox_account" in refusal(site(tmp_path, "[bandwidth]\nsandbox_account = 'Site 7'\n")).came_back


# ---------------------------------------------------------------- FreePBX


FREEPBX = '[pbx]\nkind = "freepbx"\nurl = "https://pbx.example.com"\nuser = "admin"\npassword = "env:GUI_PASSWORD"\n'


def test_a_freepbx_is_named_by_its_gui_and_a_reference_to_its_password(tmp_path: Path) -> None:
    pbx = load_settings(site(tmp_path, FREEPBX)).pbx
    assert (pbx.kind, pbx.driver, pbx.url, pbx.apply_pending) == ("freepbx", "http", "https://pbx.example.com", False)


@pytest.mark.parametrize("entry", ["url", "user", "password"])
def test_a_freepbx_without_its_gui_is_told_what_is_missing(tmp_path: Path, entry: str) -> None:
    error = refusal(site(tmp_path, re.sub(rf"^{entry} = .*\n", "", FREEPBX, flags=re.M)))
    assert f"pbx.{entry}: missing" in error.came_back
    assert 'driver = "shell"' in error.do_next


def test_by_its_shell_a_freepbx_needs_no_gui(tmp_path: Path) -> None:
    assert load_settings(site(tmp_path, '[pbx]\nkind = "freepbx"\ndriver = "shell"\n')).pbx.driver == "shell"


def test_a_freepbx_password_that_is_no_reference_is_refused_without_repeating_it(tmp_path: Path) -> None:
    error = refusal(site(tmp_path, FREEPBX.replace("env:GUI_PASSWORD", PLAIN)))
    assert PLAIN not in str(error)
    assert "pbx.password" in error.came_back
