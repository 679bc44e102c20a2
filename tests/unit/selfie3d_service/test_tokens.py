from pathlib import Path

import pytest

from selfie3d_jobs import ConfigError
from selfie3d_service import tokens
from selfie3d_service.tokens import Scope, TokenFile, new_token
from selfie3d_service.webhook_secret import new_secret


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tokens, "LOOK_SECONDS", 0.0)
    return tmp_path / "tokens.toml"


def test_a_token_finds_its_caller_and_is_not_in_the_file(file: Path) -> None:
    token, entry = new_token("anna", ["submit", "read"])
    other, other_entry = new_token("bob", ["admin"])
    file.write_text(entry + other_entry)
    found = TokenFile(file).find(token)
    assert found is not None
    assert (found.name, found.scopes) == ("anna", frozenset({Scope.SUBMIT, Scope.READ}))
    assert not found.may(Scope.ADMIN)
    assert token not in file.read_text()
    root = TokenFile(file).find(other)
    assert root is not None
    assert all(root.may(scope) for scope in Scope)
    for wrong in ("", token + "x", token[:-1], token.upper()):
        assert TokenFile(file).find(wrong) is None


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(file: Path) -> None:
    (old, old_entry), (new, new_entry) = new_token("anna", ["read"]), new_token("anna", ["read"])
    file.write_text(old_entry)
    opened = TokenFile(file)
    assert opened.find(old)
    replace(file, "[[tokens]]\nbroken")
    assert opened.find(old)
    replace(file, new_entry)
    assert opened.find(new)
    assert opened.find(old) is None


def test_a_caller_has_the_webhook_secrets_of_all_its_tokens_each_once(file: Path) -> None:
    first, second = new_secret(), new_secret()
    entries = [new_token("anna", ["read"], webhook_secret=secret)[1] for secret in (first, second, first, "")]
    file.write_text("\n".join([*entries, new_token("bob", ["read"])[1]]))
    opened = TokenFile(file)
    assert opened.webhook_secrets("anna") == (first, second)
    assert opened.webhook_secrets("bob") == opened.webhook_secrets("nobody") == ()
    assert first not in repr(opened._entries)


BAD_SECRETS = ["whsec_", "whsec_c2hvcnQ=", "whsec_%%%", "bm8gcHJlZml4LCBidXQgMzIgYnl0ZXMgbG9uZyE=", "whsec_ä"]


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_a_bad_webhook_secret_is_refused_and_not_shown(file: Path, secret: str) -> None:
    file.write_text(new_token("anna", ["read"], webhook_secret=secret)[1])
    with pytest.raises(ConfigError, match="24 to 64 bytes") as refused:
        TokenFile(file)
    assert secret.removeprefix("whsec_") in ("", "%%%", "ä") or secret not in str(refused.value)


def replace(file: Path, text: str) -> None:
    """As editors and secret stores do it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[[tokens]]\ncaller = 'a'",
        "[[tokens]]\ncaller = 'a'\nsalt = '00'\nsha256 = '00'\nscopes = ['read']",
        f"[[tokens]]\ncaller = 'a'\nsalt = '00'\nsha256 = '{'0' * 64}'\nscopes = ['everything']",
    ],
)
def test_a_bad_file_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match="SELFIE3D_TOKENS"):
        TokenFile(file)
    with pytest.raises(ConfigError, match="SELFIE3D_TOKENS"):
        TokenFile(file.with_name("absent"))


def test_a_token_carries_its_callers_rates(tmp_path: Path) -> None:
    token, entry = new_token("anna", ["submit"], 5, max_per_minute=30, max_per_day=None)
    file = tmp_path / "tokens.toml"
    file.write_text(entry)
    caller = TokenFile(file).find(token)
    assert caller is not None
    assert (caller.max_active, caller.max_per_minute, caller.max_per_day) == (5, 30, 0)


@pytest.mark.parametrize(
    "line", ["max_per_minute = 0", "max_per_day = -1", 'max_per_day = "9"', "max_per_minute = true"]
)
def test_a_rate_that_nobody_can_have_meant_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(new_token("anna", ["submit"])[1] + f"{line}\n")
    with pytest.raises(ConfigError, match=r"max_per_(minute|day) must be a whole number"):
        TokenFile(file)
