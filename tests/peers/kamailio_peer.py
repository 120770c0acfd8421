"""A real Kamailio that is a phone's registrar, with the lines of our settings sheet for it put in where the sheet says.

The script around them is the skeleton of the kamailio.cfg that comes with Kamailio, with its names of routes; phones
show a password, so that it can be told whom our lines let by.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Self

from peers import free_port, listens, loopback, program
from sandbox_world import eventually
from sheet_text import snippets

HOST = loopback(4)
SECRET_FILE = "/etc/kamailio/bandwidth-secret.cfg"
KEPT_IN = "file:secrets/sip password"

_SCRIPT = """\
#!KAMAILIO
debug=2
log_stderror=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:{host}:{port}
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("rr", "append_fromtag", 1)
{modules}
request_route {{
	if (!mf_process_maxfwd_header("10")) {{
		sl_send_reply("483", "Too Many Hops");
		exit;
	}}
	if (is_method("CANCEL")) {{
		if (t_check_trans()) t_relay();
		exit;
	}}
	if (!is_method("ACK")) {{
		if (t_precheck_trans()) {{
			t_check_trans();
			exit;
		}}
		t_check_trans();
	}}
{before}
	route(WITHINDLG);
	route(AUTH);
{after}
	if (is_method("REGISTER")) {{
		save("location");
		exit;
	}}
	sl_send_reply("404", "Not here");
}}
route[WITHINDLG] {{
	if (!has_totag()) return;
	if (loose_route() || (is_method("ACK") && t_check_trans())) t_relay();
	else if (!is_method("ACK")) sl_send_reply("404", "Not here");
	exit;
}}
route[AUTH] {{
	if (is_method("REGISTER")) {{
		if (!pv_www_authenticate("pbx.test", "{secret}", "0")) {{
			www_challenge("pbx.test", "0");
			exit;
		}}
	}} else if (!pv_proxy_authenticate("pbx.test", "{secret}", "0")) {{
		proxy_challenge("pbx.test", "0");
		exit;
	}}
}}
{routes}
"""


def secret_file(folder: Path, sheet: str, password: str, kind: str = "HA1") -> Path:
    """The file that the sheet tells a person to make, made as it says: by its own bash line, or by typing."""
    file, kept = folder / "secret.cfg", folder / KEPT_IN.removeprefix("file:")
    kept.parent.mkdir()
    kept.write_text(password + "\n")
    if kind == "HA1":
        command = snippets(sheet)["bash: HA1"].replace(SECRET_FILE, str(file))
        subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True)
        assert file.stat().st_mode & 0o777 == 0o600
    else:
        text = snippets(sheet)[f"{SECRET_FILE}: password"]
        file.write_text(text.replace("(the SIP password)", password))
    return file


def script(sheet: str, port: int, secret_file: Path, phone_secret: str) -> str:
    """The whole kamailio.cfg."""
    parts = snippets(sheet)
    return _SCRIPT.format(
        host=HOST,
        port=port,
        secret=phone_secret,
        modules=parts["kamailio.cfg: modules"].replace(SECRET_FILE, str(secret_file)),
        before=parts["kamailio.cfg: before WITHINDLG"],
        after=parts["kamailio.cfg: after AUTH"],
        routes=parts["kamailio.cfg: routes"],
    )


class Kamailio:
    """A running Kamailio, inside its `with` block. address: where it takes SIP. It ends with the block."""

    def __init__(self, folder: Path, sheet: str, secret_file: Path, phone_secret: str) -> None:
        self.folder = folder
        self.address = (HOST, free_port(HOST))
        self._config = folder / "kamailio.cfg"
        self._config.write_text(script(sheet, self.address[1], secret_file, phone_secret))

    def __enter__(self) -> Self:
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program("kamailio"), "-f", str(self._config), "-DD", "-E", "-m", "32",
             "-w", str(self.folder), "-Y", str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        try:
            eventually(lambda: self._process.poll() is not None or listens(*self.address))
            assert self._process.poll() is None, self.said()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()  # its children end with it
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # a session of its own: nobody else's processes
            self._process.wait()
        self._log.close()

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]
