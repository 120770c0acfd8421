"""The PBX that a site file names: an Asterisk on this machine, on another one over ssh, or a FreePBX."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bwlib.errors import SettingsError
from bwlib.models import SshLogin
from bwlib.settings import Settings

if TYPE_CHECKING:
    from bwlib.pbx import Pbx
    from bwlib.pbx.asterisk import AsteriskPbx
    from bwlib.pbx.freepbx import FreepbxPbx


def own_pbx(settings: Settings, secret: Callable[[str], SecretStr]) -> Pbx:
    """The site's PBX. Nothing is sent before it is used.

    Raises: SettingsError when a file that ssh needs is not there or is open to others, SecretUnavailable.
    """
    from bwlib.pbx.asterisk import AsteriskPbx

    table = settings.pbx
    if table.kind == "freepbx":
        return _freepbx(settings, secret(table.password) if table.password else SecretStr(""))
    if table.ssh:
        return _asterisk_by_ssh(settings, secret(table.ami_secret))
    address, ami_secret = (table.ami_host, table.ami_port), secret(table.ami_secret)
    return AsteriskPbx(Path(table.config_dir), *address, table.ami_user, ami_secret, site=settings.name)


def named_sip_address(settings: Settings) -> tuple[str, int] | None:
    """Where the site file says that the PBX takes SIP; None when it does not say it, and the PBX is asked."""
    table = settings.pbx
    return (table.sip_host, table.sip_port) if "sip_host" in table.model_fields_set else None


def is_loopback(host: str) -> bool:
    """localhost, or a loopback address; names are not resolved."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _freepbx(settings: Settings, password: SecretStr) -> FreepbxPbx:
    from bwlib.pbx.freepbx import connect

    table = settings.pbx
    return connect(
        url=table.url,
        user=table.user,
        password=password,
        site=settings.name,
        driver=table.driver,
        ssh=table.ssh,
        ssh_key=str(_file(settings, "ssh_key") or ""),
        ssh_known_hosts=str(_file(settings, "ssh_known_hosts") or ""),
        ca_file=str(settings.folder / table.ca_file) if table.ca_file else "",
        trunk=table.trunk,
        route=table.route,
        extension=table.extension,
        road=settings.road,
        sip_host=table.sip_host,
        sip_port=table.sip_port,
        apply_pending=table.apply_pending,
    )


def _asterisk_by_ssh(settings: Settings, ami_secret: SecretStr) -> AsteriskPbx:
    from bwlib.pbx.asterisk import AsteriskPbx
    from bwlib.pbx.asterisk_files_ssh import SshFiles, connect

    table = settings.pbx
    login = SshLogin.parse(table.ssh)
    key, known_hosts = _file(settings, "ssh_key"), _file(settings, "ssh_known_hosts")
    ami = (table.ami_host, table.ami_port)
    forward = ami if is_loopback(table.ami_host) else None  # another address is one that we reach ourselves
    connection = connect(login, table.config_dir, key=key, known_hosts=known_hosts, forward=forward)
    return AsteriskPbx(
        SshFiles(connection, table.config_dir, login.place),
        *ami,
        table.ami_user,
        ami_secret,
        site=settings.name,
        tunnel=connection if forward else None,
        host=login.host if forward else "",
    )


def _file(settings: Settings, entry: str) -> Path | None:
    """The file that pbx.<entry> names, from the site file's folder on; None when it names none."""
    named = getattr(settings.pbx, entry)
    if not named:
        return None
    path = settings.folder / Path(named).expanduser()
    attempted = f"use pbx.{entry} = {named!r}"
    if not path.is_file():
        raise SettingsError(
            attempted, f"there is no file {path}", "give the right path, from the site file's folder on"
        )
    if entry == "ssh_key" and path.stat().st_mode & 0o077:
        raise SettingsError(attempted, "others may read it, and ssh would not use it", f"run: chmod 600 '{path}'")
    return path
