"""What the command reads from the environment, in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from selfie3d.secret_file import secret_of
from selfie3d_cli.errors import UsageError

DEFAULT_LISTEN = "127.0.0.1:50051"
DEFAULT_WEB_LISTEN = "127.0.0.1:8080"
DEFAULT_SERVER = "localhost:50051"
PARENT_VARIABLE = "SELFIE3D_PARENT_PID"  # set by `selfie3d_cli.children` for its children, by nobody else
FINDER = "SELFIE3D_FACE_ALIGNMENT_"  # WEIGHTS, LANDMARKS, DETECTOR, FLIP, as a worker reads them
COMMAND_SETTINGS = {  # variable: (default, what it means); those beside it that other processes read, too, are theirs
    "SELFIE3D_DATA": ("~/.local/share/selfie3d", "folder of the embedded Redis of `selfie3d up`"),
    "SELFIE3D_TOKEN": ("", "bearer token that `selfie3d reconstruct` and `selfie3d admin` send"),
    "SELFIE3D_TOKEN_FILE": ("", "file that holds it, instead"),
    "SELFIE3D_INSECURE_TOKEN": ("off", "whether tokens may travel to another machine without TLS"),
    "SELFIE3D_SERVER": (DEFAULT_SERVER, "service that the page, `selfie3d reconstruct` and `selfie3d admin` speak to"),
}


@dataclass(frozen=True)
class Settings:
    """The command's settings; an empty variable counts as unset. docs/settings.md lists the variables.

    Attributes
    ----------
    finder_options : of the face-alignment finder, as `vrn.finder` takes them
    web_listen : of the page; empty: DEFAULT_WEB_LISTEN, or the next free port
    web_host : a name that the page answers to
    log_format : None where none is set: each command then has its own default
    parent : process id of the command that started this process as its child; 0: none did
    """

    server: str = DEFAULT_SERVER
    token: str | None = field(default=None, repr=False)
    insecure_token: bool = False
    data: Path = Path()
    listen: str = DEFAULT_LISTEN
    redis_url: str = field(default="", repr=False)  # may hold a password
    blobs: str = ""
    tls_certificate: str = ""
    tls_client_ca: str = ""
    web_listen: str = ""
    web_tls_certificate: str = ""
    web_server_ca: str = ""
    web_host: str = "localhost"
    model: str = "default"
    aligner: str = "bundled"
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    model_process: str = "auto"
    finder_options: Mapping[str, Any] = field(default_factory=dict)
    log_format: str | None = None
    parent: int = 0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """From variables, e.g. os.environ. Raises UsageError for the file of a secret that cannot be used."""

        def read(name: str, default: str = "") -> str:
            return environ.get(f"SELFIE3D_{name}") or default

        home = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        return cls(
            server=read("SERVER", DEFAULT_SERVER),
            token=_secret("SELFIE3D_TOKEN", environ).strip() or None,
            insecure_token=_on(read("INSECURE_TOKEN")),
            data=Path(read("DATA") or home / "selfie3d"),
            listen=read("LISTEN", DEFAULT_LISTEN),
            redis_url=_secret("SELFIE3D_REDIS_URL", environ),
            blobs=read("BLOBS"),
            tls_certificate=read("TLS_CERT"),
            tls_client_ca=read("TLS_CLIENT_CA"),
            web_listen=read("WEB_LISTEN"),
            web_tls_certificate=read("WEB_TLS_CERT"),
            web_server_ca=read("WEB_SERVER_CA"),
            web_host=read("WEB_HOSTS", cls.web_host).partition(",")[0].strip(),
            model=read("MODEL", cls.model),
            aligner=read("ALIGNER", cls.aligner),
            device=read("DEVICE", cls.device),
            engine=read("ENGINE", cls.engine),
            precision=read("PRECISION", cls.precision),
            model_process=read("MODEL_PROCESS", cls.model_process),
            finder_options=_finder_options(environ),
            log_format=read("LOG_FORMAT") or None,
            parent=int(environ.get(PARENT_VARIABLE) or 0),
        )

    def options_of(self, aligner: str) -> Mapping[str, Any]:
        """The options of a finder; the bundled one has none."""
        return self.finder_options if aligner == "face-alignment" else {}


def from_environment() -> Settings:
    """The settings of this process."""
    return Settings.of(os.environ)


def values_of(*names: str) -> list[str | None]:
    """The values of variables, whatever they are for; None for those that are unset or empty."""
    return [os.environ.get(name) or None for name in names]


def _secret(name: str, environ: Mapping[str, str]) -> str:
    try:
        return secret_of(name, environ)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _finder_options(environ: Mapping[str, str]) -> dict[str, Any]:
    given = {name: environ.get(f"{FINDER}{name.upper()}") for name in ("weights", "landmarks", "detector")}
    return {name: value for name, value in given.items() if value} | {"flip": _on(environ.get(f"{FINDER}FLIP", ""))}


def _on(word: str) -> bool:
    return word.lower() in ("1", "true", "yes", "on")
