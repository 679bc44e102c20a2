"""PEM files for tests of TLS: good ones, and one of every mistake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

ENCRYPTED = "is encrypted: save it without a passphrase, readable by its user alone"


@dataclass(frozen=True)
class Pems:
    """Files in a folder: chain.pem and key.pem belong together, ca.pem has issued them."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def make(cls, folder: Path, *hosts: str) -> Pems:
        pems = cls(folder, trustme.CA())
        issued = pems.ca.issue_cert(*(hosts or ("localhost",)))
        pems.chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(pems.key))
        pems.ca.cert_pem.write_to_path(str(pems.authorities))
        pems.ca.issue_cert("other").private_key_pem.write_to_path(str(pems.other_key))
        key = serialization.load_pem_private_key(pems.key.read_bytes(), None)
        secret = serialization.BestAvailableEncryption(b"open sesame")
        form = serialization.PrivateFormat.PKCS8
        pems.encrypted_key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
        pems.garbage.write_bytes(b"\x00\xff not PEM")
        return pems

    @property
    def chain(self) -> Path:
        return self.folder / "chain.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def authorities(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def other_key(self) -> Path:
        return self.folder / "other-key.pem"

    @property
    def encrypted_key(self) -> Path:
        return self.folder / "encrypted-key.pem"

    @property
    def garbage(self) -> Path:
        return self.folder / "garbage.pem"

    @property
    def missing(self) -> Path:
        return self.folder / "missing.pem"

    def mistakes(self) -> list[tuple[Path | None, Path | None, str]]:
        """(certificate, key, what is said)."""
        none, certificate = "holds no PEM private key", "holds no PEM certificate"
        return [
            (self.chain, None, "there is a certificate without its key: give both or none"),
            (None, self.key, "there is a key without its certificate: give both or none"),
            (self.missing, self.key, f"{self.missing}: No such file or directory"),
            (self.chain, self.missing, f"{self.missing}: No such file or directory"),
            (self.chain, self.folder, f"{self.folder}: Is a directory"),
            (self.garbage, self.key, f"{self.garbage} {certificate}"),
            (self.key, self.chain, f"{self.key} {certificate}"),
            (self.chain, self.garbage, f"{self.garbage} {none}"),
            (self.chain, self.chain, f"{self.chain} {none}"),
            (self.chain, self.other_key, f"{self.other_key} is not the key of the certificate in {self.chain}"),
            (self.chain, self.encrypted_key, f"{self.encrypted_key} {ENCRYPTED}"),
        ]
