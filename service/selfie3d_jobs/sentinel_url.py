"""redis+sentinel:// and rediss+sentinel:// (TLS) addresses: sentinels, the name of the primary, and how to reach both.

    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT,HOST/MASTER/DB?sentinel_password=...

A sentinel without a port has 26379. USER, PASSWORD and DB (0; also ?db=) are those of the primary and its replicas;
?sentinel_username= and ?sentinel_password= those of the sentinels. Other options (?ssl_ca_certs=FILE) are redis-py's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from redis.connection import parse_url

from selfie3d.address import split_address

SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
PORT = 26379
OF_SENTINELS = ("sentinel_username", "sentinel_password")


def is_sentinel_url(url: str) -> bool:
    """Whether sentinels are to be asked for the primary."""
    return urlsplit(url).scheme in SCHEMES


@dataclass(frozen=True)
class SentinelUrl:
    """What such an address says.

    Attributes
    ----------
    sentinels : (host, port) of each
    master : the name of the primary and its replicas, as the sentinels know it
    server_options : of connections to the primary, as redis-py takes them: db, user, password, TLS
    """

    sentinels: tuple[tuple[str, int], ...]
    master: str
    server_options: dict[str, Any] = field(repr=False)
    _credentials: dict[str, str] = field(repr=False)  # of the sentinels

    @classmethod
    def of(cls, url: str) -> Self:
        """Read it. Raises ValueError, whose text may hold what the URL holds."""
        parts = urlsplit(url)
        master, _, db = parts.path.strip("/").partition("/")
        if not master:
            raise ValueError("the name of the primary is missing: /MASTER")
        if db and not (db.isascii() and db.isdigit()):
            raise ValueError("the database is no number: /MASTER/DB")
        hosts = parts.netloc.rpartition("@")[2].split(",")
        credentials = {name: value for name, value in parse_qsl(parts.query) if name in OF_SENTINELS}
        return cls(tuple(map(_sentinel, hosts)), unquote(master), _server_options(parts, db), credentials)

    @property
    def db(self) -> int:
        """The database's number."""
        return int(self.server_options.get("db", 0))

    @property
    def tls(self) -> bool:
        """Whether primary, replicas and sentinels are reached over TLS."""
        return "ssl" in self.server_options

    def sentinel_options(self, seconds: float) -> dict[str, Any]:
        """Of connections to the sentinels, as redis-py takes them. seconds : for connecting, and for an answer."""
        tls = {name: value for name, value in self.server_options.items() if name.startswith("ssl")}
        credentials = {name.removeprefix("sentinel_"): value for name, value in self._credentials.items()}
        return {"socket_timeout": seconds, "socket_connect_timeout": seconds, **tls, **credentials}

    def for_kombu(self) -> str:
        """The same for kombu: each sentinel an address of its own, as it goes on to the next one after an error."""
        options = self.server_options
        user, password = (quote(options.get(name, ""), safe="") for name in ("username", "password"))
        credentials = f"{user}:{password}@" if user or password else ""
        query = {name: value for name, value in options.items() if name.startswith("ssl_")}
        tail = f"/{self.db}" + (f"?{urlencode({'ssl_cert_reqs': 'required'} | query)}" if self.tls else "")
        return ";".join(f"sentinel://{credentials}{_bracketed(host)}:{port}{tail}" for host, port in self.sentinels)


def _server_options(parts: SplitResult, db: str) -> dict[str, Any]:
    """redis-py reads what is left when the sentinels are taken out."""
    credentials, at, _ = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in OF_SENTINELS])
    plain = parts._replace(scheme=SCHEMES[parts.scheme], netloc=f"{credentials}{at}primary", path=f"/{db}", query=query)
    options: dict[str, Any] = parse_url(plain.geturl())  # type: ignore[no-untyped-call,unused-ignore]
    del options["host"]
    return options | ({"ssl": True} if options.pop("connection_class", None) else {})


def _sentinel(address: str) -> tuple[str, int]:
    has_port = ":" in address.rpartition("]")[2]
    host, port = split_address(address if has_port else f"{address}:{PORT}")
    if not port:
        raise ValueError("nothing can listen on port 0")
    return host, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
