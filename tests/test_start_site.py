"""start_site: writes what is missing once, and nothing on a plan, a slip or an unattended run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwlib import SecretUnavailable, start_site


def test_it_writes_the_site_file_and_two_secrets_and_leaves_them_alone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    assert [line.split()[0] for line in start_site(path)] == ["wrote", "made", "made"]
    before = {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    assert [line for line in start_site(path) if not line.endswith("is there")] == []
    assert {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    assert start_site(tmp_path / "site.toml", mode="plan") == [f"would write {tmp_path / 'site.toml'}"]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "site.toml").write_text('name = "x"\n')
    assert all(line.startswith("would make") for line in start_site(tmp_path / "site.toml", mode="plan"))
    assert [file.name for file in tmp_path.iterdir()] == ["site.toml"]


def test_unattended_a_missing_secret_is_an_error_and_no_new_password(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('name = "x"\n[sip_credential]\npassword = "file:secrets/slip"\n')
    with pytest.raises(SecretUnavailable) as said:
        start_site(path, make_secrets=False)
    assert "file:secrets/slip" in said.value.attempted
    assert not (tmp_path / "secrets").exists()


def test_an_environment_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('name = "x"\n[sip_credential]\npassword = "env:BWRB_NOT_SET"\n')
    with pytest.raises(SecretUnavailable) as said:
        start_site(path)
    assert "BWRB_NOT_SET" in said.value.attempted
    assert "not set" in said.value.came_back
