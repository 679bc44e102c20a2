from pathlib import Path

import pytest

from selfie3d_jobs import ConfigError
from selfie3d_service import tokens
from selfie3d_service.tokens import Scope, TokenFile, new_token


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
