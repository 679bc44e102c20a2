"""`selfie3d token --webhooks`."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfie3d_cli.main import main
from selfie3d_service.tokens import TokenFile


def test_the_secret_is_printed_after_the_token_and_stands_in_the_private_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.toml"
    assert main(["token", "anna", "--webhooks", "--file", str(file)]) == 0
    token, secret = capsys.readouterr().out.splitlines()
    found = TokenFile(file)
    caller = found.find(token)
    assert caller is not None
    assert caller.name == "anna"
    assert found.webhook_secrets("anna") == (secret,)
    assert file.stat().st_mode & 0o777 == 0o600
