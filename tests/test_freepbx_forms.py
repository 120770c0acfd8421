"""FreePBX's forms as a browser reads them, and a stand-in whose forms are the real ones'."""

from __future__ import annotations

import pytest
from freepbx_stand_in import SIGN_IN, FreePbx, around, draw, form_fields

from bwlib.errors import PbxRefused
from bwlib.pbx.freepbx_forms import Form, facts_of, form_with, forms_of, is_sign_in
from bwlib.pbx.freepbx_pages import fields_of, filled_in

# How many controls each form had on FreePBX 17.0.28.
COUNTED = {"trunks": 150, "routing": 42, "extensions": 204}
VOLATILE = ("devinfo_secret", "userman_password")


def only_form(page: str) -> Form:
    (form,) = forms_of(page)
    return form


# ---------------------------------------------------------------- the stand-in


@pytest.mark.parametrize("version", [16, 17])
@pytest.mark.parametrize("page", ["trunks", "routing", "extensions", "did", "sipsettings"])
def test_the_stand_ins_forms_have_exactly_the_fields_that_were_read_from_freepbx(page: str, version: int) -> None:
    drawn = only_form(draw(FreePbx(version), page, None))
    wanted = form_fields(page, version)
    if page == "routing":  # its trunks are drawn as there are any, its patterns have no names
        wanted = [one for one in wanted if one.name != "trunkpriority[0]"]
        drawn.controls = [one for one in drawn.controls if one.name != "trunkpriority[0]"]
        assert sorted(drawn.by_id("pattern_pass_")) == [0]
    named = sorted((one.name, one.id) for one in drawn.controls if one.name and one.kind != "submit")
    assert named == sorted((one.name, one.id) for one in wanted)
    for one in wanted:
        if one.kind in ("text", "number", "hidden") and one.name not in VOLATILE:
            assert drawn.value(one.name) == one.value, one.name
        if one.kind in ("radio", "checkbox"):
            assert ((one.name, one.value) in drawn.pairs()) == one.preset, one.name


def test_the_list_of_fields_is_whole() -> None:
    assert {page: len(form_fields(page)) for page in COUNTED} == COUNTED


def test_16_lacks_what_17_added_and_says_true_and_false() -> None:
    names = {version: {one.name for one in form_fields("trunks", version)} for version in (16, 17)}
    assert names[17] - names[16] == {"allow_unauthenticated_options", "message_context"}
    values = {
        version: {one.value for one in form_fields("trunks", version) if one.name == "send_connected_line"}
        for version in (16, 17)
    }
    assert values == {16: {"true", "false"}, 17: {"yes", "no"}}


# ---------------------------------------------------------------- reading a form


FORM = """
<p><input name="outside" value="no">
<form id=one>
 <input name=plain value="a &amp; b"><input name='none'><input type=checkbox name=off>
 <input type=checkbox name=on checked>
 <input type=radio name=r value=1><input type=radio name=r value=2 CHECKED><input name=dis value=x disabled>
 <input type="text" class="x" id="description" name="description" value="odd" ">
 <select name=first><option value=a>A<option value=b>B</select>
 <select name=chosen><option value=a>A</option><option value=b selected="selected">B</option></select>
 <select name=many multiple><option value=a>A</option></select>
 <textarea name=area>line one
&lt;two&gt;</textarea><input type=submit name=go value=Go><input type=file name=up>
 <input id="pattern_pass_0" value="NXX"><input id="pattern_pass_12" value="X">
</form>"""


def test_every_choice_of_a_list_is_sent_and_none_of_one_that_is_switched_off() -> None:
    form = only_form(
        "<form><select name='g[]' multiple><option value=1 selected><option value=2><option value=3 selected></select>"
        "<select name=off disabled><option value=1 selected></select></form>"
    )
    assert form.pairs() == [("g[]", "1"), ("g[]", "3")]
    assert filled_in("extension", form, {}, is_new=False) == form.pairs()


def test_a_form_is_read_as_a_browser_would_send_it() -> None:
    form = only_form(FORM)
    assert form.pairs() == [
        ("plain", "a & b"), ("none", ""), ("on", "on"), ("r", "2"), ("description", "odd"), ("first", "a"),
        ("chosen", "b"), ("area", "line one\n<two>"),
    ]  # fmt: skip
    assert form.by_id("pattern_pass_") == {0: "NXX", 12: "X"}
    assert form.options("chosen") == ["a", "b"]
    assert form.has("off")
    assert form.value("off") == ""


@pytest.mark.parametrize(
    "page", ["", "<html>", "<form", "<form><input>", "<form><select><option>", "\x00<form></form>"]
)
def test_a_broken_page_has_no_form_of_ours_and_is_no_error(page: str) -> None:
    assert form_with(page, ("trunk_name",)) is None
    assert not is_sign_in(page)
    assert facts_of(page).reload_due is None


def test_a_page_that_asks_for_a_password_is_told_from_one_that_has_a_user_name() -> None:
    assert is_sign_in(SIGN_IN.format(said=""))
    assert not is_sign_in(draw(FreePbx(), "trunks", None))
    assert not is_sign_in(draw(FreePbx(), "extensions", None))


@pytest.mark.parametrize(
    ("script", "due"),
    [
        ('var fpbx={"conf":{"reload_needed":true}};', True),
        ('var fpbx = {"conf":{"reload_needed":"true"}};var x={}', True),
        ('var fpbx={"conf":{"reload_needed":"1"}}', True),
        ('var fpbx={"conf":{"reload_needed":false}}', False),
        ('var fpbx={"conf":{"reload_needed":""}}', False),
        ('var fpbx={"conf":{}}', None),
        ('var fpbx={"conf":[]}', None),
        ("var fpbx={conf", None),
        ("", None),
    ],
)
def test_whether_a_reload_is_due_is_read_from_the_pages_script(script: str, due: bool | None) -> None:
    assert facts_of(f"<script>{script}</script>").reload_due is due


def test_the_versions_are_read_from_the_pages_script() -> None:
    facts = facts_of(around(FreePbx(16), ""))
    assert (facts.version, facts.asterisk, facts.reload_due) == ("16.0.28", "18.9", False)


# ---------------------------------------------------------------- filling one in


def test_what_is_not_changed_is_sent_as_the_page_has_it() -> None:
    form = only_form(draw(FreePbx(), "trunks", None))
    before, after = form.pairs(), filled_in("trunk", form, {"sip_server": "realm.test"}, is_new=True)
    assert sorted(after) == sorted(
        [*(pair for pair in before if pair[0] != "sip_server"), ("sip_server", "realm.test")]
    )


def test_a_page_without_a_field_that_is_needed_is_refused_before_anything_is_sent() -> None:
    form = only_form("<form><input name=trunk_name></form>")
    with pytest.raises(PbxRefused, match="no field sip_server"):
        filled_in("trunk", form, {"trunk_name": "a", "sip_server": "b"}, is_new=True)


def test_a_mark_is_left_out_where_the_page_has_no_field_for_it() -> None:
    form = only_form("<form><input name=extension></form>")
    assert filled_in("extension", form, {"extension": "1", "devinfo_accountcode": "m"}, is_new=True) == [
        ("extension", "1")
    ]


def test_a_routes_patterns_stay_when_only_its_name_changes() -> None:
    pbx = FreePbx()
    row = '[{"prepend_digit":"1","pattern_prefix":"9","pattern_pass":"NXX","match_cid":"2"}]'
    stored = pbx.by_hand("routing", "1", routename="a", dialpatterndata=row, trunkpriority="3,1")
    form = only_form(draw(pbx, "routing", stored))
    assert fields_of("route", form)["trunkpriority"] == "3,1"
    sent = dict(filled_in("route", form, {"routename": "b"}, is_new=False))
    assert sent["dialpatterndata"].startswith('[{"prepend_digit": "1", "pattern_prefix": "9", "pattern_pass": "NXX"')
    assert (sent["trunkpriority[0]"], sent["trunkpriority[1]"]) == ("3", "1")


def test_a_destination_is_found_in_a_gui_of_another_language() -> None:
    page = (
        "<form><select name=goto0><option value=''><option value=Nebenstellen></select><select name=Nebenstellen0>"
        "<option value=from-did-direct,101,1></select></form>"
    )
    sent = dict(filled_in("did", only_form(page), {"destination": "from-did-direct,101,1"}, is_new=True))
    assert sent == {"goto0": "Nebenstellen", "Nebenstellen0": "from-did-direct,101,1"}
