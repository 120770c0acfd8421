"""A small imitation of FreePBX's pages and JSON on loopback, for tests: what it does wrong is what FreePBX does wrong.

Its forms are drawn from tests/freepbx/form_fields.txt. Status codes lie, a second trunk of a name is taken, a POST
without a Referer of this host is answered 200 and forgotten, ajax from this machine needs no session. It holds no text
of FreePBX's beyond field names and the few messages that a client must know.
"""

from __future__ import annotations

import html
import json
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

FIELDS = Path(__file__).parent / "freepbx" / "form_fields.txt"
USER, PASSWORD = "admin", "a-gui-password-77"
PATTERN_PARTS = ("prepend_digit", "pattern_prefix", "pattern_pass", "match_cid")
OPTIONS = {
    "dtmfmode": ["auto", "rfc4733", "inband", "info"],
    "userman_assign": ["none", "add"],
    "identify_by": ["default", "username", "ip"],
    "transport": ["", "0.0.0.0-udp"],
}


@dataclass(frozen=True)
class Field:
    name: str
    kind: str
    id: str
    value: str
    preset: bool


def form_fields(page: str, version: int = 17) -> list[Field]:
    """The fields of one page's form, as the data file has them."""
    found, here = [], ""
    for line in FIELDS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            here = line.strip("[]")
        elif here == page and not line.startswith("#"):
            name, kind, ident, value = (part.strip() for part in (line + " ").split(" |", 3))
            if "(17)" in kind and version < 17:
                continue
            if name == "send_connected_line" and version < 17:  # yes and no in 17
                value = value.replace("yes", "true").replace("no", "false")
            preset = value.endswith("*")
            found.append(Field(name, kind.replace(" (17)", ""), ident, value.removesuffix("*").strip(), preset))
    return found


@dataclass
class FreePbx:
    """The state, as a database would have it, and what a test may turn."""

    version: int = 17
    trunks: dict[str, dict[str, str]] = field(default_factory=dict)
    routes: dict[str, dict[str, str]] = field(default_factory=dict)
    extensions: dict[str, dict[str, str]] = field(default_factory=dict)
    dids: dict[str, dict[str, str]] = field(default_factory=dict)
    sip: dict[str, str] = field(default_factory=lambda: {"externip": "203.0.113.5"})
    reload_due: bool = False
    sessions: set[str] = field(default_factory=set)
    # what a test may turn
    limited: bool = False  # the user sees no page of module core
    lose_session_after: int = 0  # requests; then every session is gone, once
    reload_fails: bool = False
    reload_sticks: bool = False  # done, and due again
    keeps_otherwise: dict[str, str] = field(default_factory=dict)  # field -> what is kept in its place
    forgets: bool = False  # answers as ever, keeps nothing
    hang_up_on_save: bool = False  # carries it out, and the answer is lost
    sends_on_to: str = ""  # every page is somewhere else
    on_apply: Callable[[FreePbx], None] | None = None  # what Apply Config does besides (freepbx_asterisk)
    # what a test may ask
    requests: list[str] = field(default_factory=list)
    posted: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    applied: dict[str, Any] = field(default_factory=dict)
    signed_out: int = 0

    def table(self, page: str) -> dict[str, dict[str, str]]:
        return {"trunks": self.trunks, "routing": self.routes, "extensions": self.extensions, "did": self.dids}[page]

    def by_hand(self, page: str, key: str, **values: str) -> dict[str, str]:
        """What a person entered, with the page's presets for the rest, and applied."""
        presets = {f.name: f.value for f in form_fields(page, self.version) if f.kind != "radio" or f.preset}
        presets = {name: value for name, value in presets.items() if "[" not in name}
        if page == "trunks":
            codecs = [f.name[6:-1] for f in form_fields(page) if f.name.startswith("codec[") and f.preset]
            presets["codec"] = ",".join(codecs)
        self.table(page)[key] = {**presets, **values}
        return self.table(page)[key]


# ------------------------------------------------------------------ pages


def draw(pbx: FreePbx, page: str, stored: dict[str, str] | None) -> str:
    """One form, with the presets of a new one or the values that are stored."""
    form_id = {"trunks": "trunkEdit", "routing": "routeEdit", "extensions": "frm_extensions"}.get(page, page)
    lines = [f'<form id="{form_id}" method="post" action="config.php?display={page}">']
    order = (stored or {}).get("codec", "").split(",")
    fields = form_fields(page, pbx.version)
    codecs = [one for one in fields if one.name.startswith("codec[")]
    if stored is not None:
        codecs.sort(key=lambda one: order.index(one.name[6:-1]) if one.name[6:-1] in order else 99)
    done = False
    for one in fields:
        if one.name.startswith("codec["):
            if not done:
                chosen = None if stored is None else order
                lines += [_pane("pjscodecs", "ttech"), *(_codec(codec, chosen) for codec in codecs)]
            done = True
        elif one.kind == "select-one" and one.name.startswith("trunkpriority["):
            continue
        else:
            lines += [_pane(*TABS[one.name])] if page == "trunks" and one.name in TABS else []
            lines.append(_control(pbx, page, one, stored))
    if page == "routing":
        used = (stored or {}).get("trunkpriority", "").split(",")
        lines += [
            _select(f"trunkpriority[{at}]", f"trunkpri{at}", ["", *pbx.trunks], key) for at, key in enumerate(used)
        ]
        if used != [""]:
            lines.append(_select(f"trunkpriority[{len(used)}]", f"trunkpri{len(used)}", ["", *pbx.trunks], ""))
        else:
            lines.append(_select("trunkpriority[1]", "trunkpri1", ["", *pbx.trunks], ""))
        rows = json.loads((stored or {}).get("dialpatterndata") or "[]")
        for at, row in enumerate([*rows, dict.fromkeys(PATTERN_PARTS, "")]):
            lines += [f'<input type="text" id="{part}_{at}" value="{row[part]}">' for part in PATTERN_PARTS]
    submit = '<input type="submit" name="Submit" value="Submit" id="submit"></form>'
    return "\n".join([*lines, *(["</div>", TAB_SCRIPT] if page == "trunks" else []), submit])


def _pane(pane: str, tab: str) -> str:
    """The trunk page's fields lie on tabs, and of those on `ttech` on tabs again; one pane is to be seen."""
    before = "</div>" if pane != "tgeneral" else "".join(f'<a href="#{name}">{name}</a> ' for name in TAB_NAMES)
    hidden = "" if pane == "tgeneral" else " hidden"
    return f'{before}<div class="pane {tab}" id="pane-{pane}"{hidden}>'


# The first field on each pane of the trunk page, the pane, and the tab that it is behind.
TABS = {
    "trunk_name": ("tgeneral", "tgeneral"),
    "prepend_digit[]": ("tdialplan", "tdialplan"),
    "username": ("pjsgeneral", "ttech"),
    "dtmfmode": ("pjsadvanced", "ttech"),
}
TAB_NAMES = ("tgeneral", "tdialplan", "ttech", "pjsgeneral", "pjsadvanced", "pjscodecs")
TAB_SCRIPT = """<script>
for (const tab of document.querySelectorAll('a[href^="#"]')) tab.onclick = (event) => {
    event.preventDefault();
    const name = tab.hash.slice(1);
    const chosen = document.getElementById('pane-' + name) || document.querySelector('.pane.' + name);
    for (const pane of document.querySelectorAll('.pane')) pane.hidden = pane !== chosen;
};
</script>"""


def _codec(one: Field, order: list[str] | None) -> str:
    on = one.preset if order is None else one.name[6:-1] in order
    return f'<input type="checkbox" name="{one.name}" id="{one.id}" value="{one.value}"{" checked" if on else ""}>'


def _select(name: str, ident: str, options: list[str], value: str) -> str:
    told = options if value in options else [*options, value]
    drawn = "".join(f'<option value="{html.escape(o)}"{" selected" if o == value else ""}>{o}</option>' for o in told)
    return f'<select name="{name}" id="{ident}">{drawn}</select>'


def _control(pbx: FreePbx, page: str, one: Field, stored: dict[str, str] | None) -> str:
    value = one.value if stored is None or one.name not in stored else stored[one.name]
    if one.name == "action" and stored is not None:
        value = {"trunks": "edittrunk", "routing": "editroute", "extensions": "edit", "did": "edtIncoming"}[page]
    if one.name in ("devinfo_secret", "userman_password") and stored is None:
        value = secrets.token_hex(16)
    head = f'name="{one.name}" id="{one.id}"'
    if one.kind in ("radio", "checkbox"):
        known = stored is not None and one.name in stored
        on = stored[one.name] == one.value if known and stored else one.preset
        return f'<input type="{one.kind}" {head} value="{html.escape(one.value)}"{" checked" if on else ""}>'
    if one.kind == "textarea":
        return f"<textarea {head}>{html.escape(value)}</textarea>"
    if one.kind.startswith("select"):
        options = OPTIONS.get(one.name, [""])
        if one.name == "goto0":
            options = ["", "Extensions", "Terminate_Call", "Trunks"]
        elif one.name == "Extensions0" and page == "did":
            options = ["popover", *(f"from-did-direct,{number},1" for number in pbx.extensions)]
        return _select(one.name, one.id, options, value)
    return f'<input type="{one.kind}" {head} value="{html.escape(value, quote=True)}">'


SIGN_IN = (
    '<html><body>{said}<form id="loginform" method="post" action="config.php"><input type="text" name="username">'
    '<input type="password" name="password"><input type="submit" value="Continue"></form></body></html>'
)


def around(pbx: FreePbx, body: str) -> str:
    conf = {
        "reload_needed": pbx.reload_due,
        "ver": f"{pbx.version}.0.28",
        "ASTVERSION": "22.10.1" if pbx.version == 17 else "18.9",
    }
    return f"<html><body>{body}<script>var fpbx={json.dumps({'conf': conf})};</script></body></html>"


# ------------------------------------------------------------------ what a POST does


def _next_key(table: dict[str, Any]) -> str:
    return str(next(number for number in range(1, 1000) if str(number) not in table))


def save(pbx: FreePbx, page: str, pairs: list[tuple[str, str]]) -> None:
    """One form, as FreePBX's page takes it: without a look at what is there."""
    said = {name: value for name, value in pairs if "[" not in name} | pbx.keeps_otherwise
    said.setdefault("devinfo_secret", "") if page == "extensions" else None
    action = said.get("action", "")
    if pbx.forgets or action.startswith("populate"):
        return
    pbx.reload_due = True
    if action in ("deltrunk", "delroute", "del", "delIncoming"):
        key = said.get("id") if page == "routing" else said.get("extdisplay", "")
        pbx.table(page).pop((key or "").removeprefix("OUT_"), None)
    elif page == "trunks":
        said["codec"] = ",".join(name[6:-1] for name, _ in pairs if name.startswith("codec["))
        said["trunk_name"] = said["trunk_name"].replace(" ", "_")
        pbx.trunks[said["extdisplay"].removeprefix("OUT_") or _next_key(pbx.trunks)] = said
    elif page == "routing":
        used = [value for name, value in pairs if name.startswith("trunkpriority[") and value]
        rows = json.loads(said.get("dialpatterndata") or "[]")
        kept = [row for row in rows if any(row.values())]
        said |= {"trunkpriority": ",".join(dict.fromkeys(used)), "dialpatterndata": json.dumps(kept)}
        pbx.routes[said["id"] or _next_key(pbx.routes)] = said
    elif page == "extensions":
        if action == "add" and said["extension"] in pbx.extensions:
            return  # a page with a message, 200
        pbx.extensions[said["extension"]] = said
    elif page == "did":
        destination = said.get(said.get("goto0", "") + "0", "")
        old = f"{said.get('old_extension', '')}/{said.get('old_cidnum', '')}"
        key = f"{said['extension']}/{said['cidnum']}"
        if action == "addIncoming" and key in pbx.dids:
            return
        if action == "edtIncoming":
            pbx.dids.pop(old, None)
        pbx.dids[key] = {**said, "destination": destination}


def listed(pbx: FreePbx, query: dict[str, str]) -> Any:
    """The JSON lists."""
    what = query.get("jdata") or query.get("command")
    if what == "allTrunks":
        return [
            {
                "trunkid": key,
                "name": one["trunk_name"],
                "tech": one.get("tech", "pjsip"),
                "outcid": one.get("outcid", ""),
                "keepcid": one.get("keepcid", ""),
                "disabled": one.get("disabletrunk", "off"),
                "provider": one.get("provider", ""),
                "dialopts": False,
            }
            for key, one in pbx.trunks.items()
        ]
    if what == "routingrnav":
        ordered = sorted(pbx.routes.items(), key=lambda item: int(item[1].get("route_seq") or 0))
        return [{"route_id": int(key), "name": one["routename"], "seq": one["route_seq"]} for key, one in ordered]
    if what == "allDID":
        names = ("extension", "cidnum")
        return [{**{n: quote(one.get(n, "")) for n in names}, "description": one.get("description", ""),
                 "destination": one.get("destination", "")} for one in pbx.dids.values()]  # fmt: skip
    return [
        {"extension": key, "name": one["name"], "tech": one.get("tech", "pjsip"), "password": "", "settings": {"cw": 1}}
        for key, one in pbx.extensions.items()
    ]


# ------------------------------------------------------------------ HTTP


class _Handler(BaseHTTPRequestHandler):
    pbx: FreePbx
    lock: threading.Lock

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        with self.lock:
            self._answer([])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with self.lock:
            self._answer(parse_qsl(body, keep_blank_values=True))

    # -------------------------------------------------------------- helpers

    def _send(self, body: str, status: int = 200, kind: str = "text/html", **headers: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _session(self) -> str:
        morsel = SimpleCookie(self.headers.get("Cookie", "")).get("PHPSESSID")
        return morsel.value if morsel else ""

    def _referer_fits(self) -> bool:
        return urlsplit(self.headers.get("Referer", "")).netloc == self.headers.get("Host")

    def _answer(self, pairs: list[tuple[str, str]]) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.pbx.requests.append(f"{self.command} {url.path} {url.query}")
        if self.pbx.lose_session_after and len(self.pbx.requests) >= self.pbx.lose_session_after:
            self.pbx.lose_session_after = 0
            self.pbx.sessions.clear()
        if self.pbx.sends_on_to:
            self._send("", 301, Location=self.pbx.sends_on_to)
        elif url.path.endswith("/admin/ajax.php"):
            self._ajax(query)
        elif url.path.endswith("/admin/config.php"):
            self._config(query, pairs)
        else:
            self._send("not here", 404)

    def _ajax(self, query: dict[str, str]) -> None:
        if not self._referer_fits():
            self._send('{"error":"ajaxRequest declined - Referrer"}', 403, "application/json")
            return
        # From this machine it asks nobody who they are; tests are on this machine.
        if query.get("command") == "reload":
            if self.pbx.reload_fails:
                self._send(json.dumps({"status": False, "message": "Reload failed", "code": 1}), 200, "text/json")
                return
            self.pbx.reload_due = self.pbx.reload_sticks
            if self.pbx.on_apply is not None:
                self.pbx.on_apply(self.pbx)
            self.pbx.applied = json.loads(json.dumps([self.pbx.trunks, self.pbx.routes, self.pbx.extensions]))
            done = {"status": True, "message": "Successfully reloaded", "code": 0}
            self._send(json.dumps(done), 200, "text/json")
            return
        self._send(json.dumps(listed(self.pbx, query)), 200, "text/json")

    def _config(self, query: dict[str, str], pairs: list[tuple[str, str]]) -> None:
        said = dict(pairs)
        if query.get("logout"):
            self.pbx.sessions.discard(self._session())
            self.pbx.signed_out += 1
            self._send(SIGN_IN.format(said=""))
            return
        if pairs and not self._referer_fits():
            self._send(around(self.pbx, "REFERER does not match"))
            return
        if "password" in said and "display" not in query:
            self._sign_in(said)
            return
        if self._session() not in self.pbx.sessions:
            self._send(SIGN_IN.format(said=""))
            return
        page = query.get("display") or said.get("display", "")
        if self.pbx.limited:
            self._send(around(self.pbx, "<h2>Not found</h2>"))
        elif pairs:
            self._save(page, pairs)
        else:
            self._send(around(self.pbx, self._page(page, query)))

    def _sign_in(self, said: dict[str, str]) -> None:
        if (said.get("username"), said["password"]) != (USER, PASSWORD):
            self._send(SIGN_IN.format(said="Invalid Username or Password"))
            return
        session = secrets.token_hex(8)
        self.pbx.sessions.add(session)
        self._send(around(self.pbx, "<h1>Dashboard</h1>"), Set_Cookie=f"PHPSESSID={session}; path=/; HttpOnly")

    def _save(self, page: str, pairs: list[tuple[str, str]]) -> None:
        self.pbx.posted.append((page, pairs))
        save(self.pbx, page, pairs)
        if self.pbx.hang_up_on_save:
            self.pbx.hang_up_on_save = False
            self.close_connection = True
            self.connection.close()
        elif page == "trunks" and dict(pairs).get("action") == "addtrunk":
            self._send("", 302, Location="config.php?display=trunks")
        else:
            self._send(around(self.pbx, "<h1>a page</h1>"))

    def _page(self, page: str, query: dict[str, str]) -> str:
        if page == "sipsettings":
            return draw(self.pbx, page, self.pbx.sip)
        key = query.get("id") or query.get("extdisplay", "").removeprefix("OUT_")
        if not key and not ({"tech", "view", "tech_hardware"} & query.keys()):
            return "<table></table>"
        if page not in ("trunks", "routing", "extensions", "did") or (key and key not in self.pbx.table(page)):
            return "<h2>Not found</h2>"
        if not key:
            return draw(self.pbx, page, None)
        stored = dict(self.pbx.table(page)[key])
        shown = {"trunks": {"extdisplay": f"OUT_{key}"}, "routing": {"id": key, "extdisplay": key}}
        stored |= shown.get(page, {"extdisplay": key})
        if page == "did":
            stored |= {"old_extension": stored["extension"], "old_cidnum": stored["cidnum"]}
        return draw(self.pbx, page, stored)


@contextmanager
def freepbx(version: int = 17, certificate: tuple[Path, Path] | None = None) -> Iterator[tuple[FreePbx, str]]:
    """A running one: its state, and its URL. certificate: PEM files (certificate, key), for https."""
    state = FreePbx(version)
    handler = type("Handler", (_Handler,), {"pbx": state, "lock": threading.Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state, f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
