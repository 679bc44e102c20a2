"""What keeps a connection from coming about, told from gRPC's words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

TLS = "`tls=` or `--tls-ca FILE`"  # of the library and of the command


@dataclass(frozen=True)
class Trouble:
    """One kind.

    signs : words of gRPC, all of which are in its message
    text : for people; {0} is the address
    encrypted : told only with TLS (True), only without (False), or either way (None)
    lasting : trying again changes nothing
    """

    signs: tuple[str, ...]
    text: str
    encrypted: bool | None = None
    lasting: bool = False


UNCONNECTED = "; last error:"  # after the first address that answers, and after taking turns between all
TROUBLES = (  # the first that fits
    Trouble(
        ("Connection refused",),
        "Nothing listens at {0}: start a service with `selfie3d up`, or correct the address.",
    ),
    Trouble(
        ("unix:", "No such file or directory"),
        "Nothing listens at {0}: start a service with `selfie3d up`, or correct the address.",
    ),
    Trouble(("errors resolving",), "The host of {0} is not known: correct the address."),
    Trouble(("http1.x",), "At {0} is a web server and no service: correct the address."),
    Trouble(
        (UNCONNECTED, "timed out"),
        "{0} takes no connection, or says nothing over it: correct the address, or look at the network on the way.",
    ),
    Trouble(
        ("WRONG_VERSION_NUMBER",),
        "The service at {0} does not speak TLS: connect without, or give the service a certificate.",
        encrypted=True,
        lasting=True,
    ),
    Trouble(
        ("CERTIFICATE_VERIFY_FAILED", "certificate has expired"),
        "The certificate of {0} has expired: renew it there.",
        encrypted=True,
        lasting=True,
    ),
    Trouble(
        ("CERTIFICATE_VERIFY_FAILED",),
        f"The certificate of {{0}} is not from an authority that is trusted: name the right one with {TLS}.",
        encrypted=True,
        lasting=True,
    ),
    Trouble(
        ("Hostname Verification Check failed",),
        "The certificate of {0} is for another name: connect by that name, or give it with `Tls(server_name=...)` or "
        "`--tls-server-name`.",
        encrypted=True,
        lasting=True,
    ),
    Trouble(
        (UNCONNECTED, "Socket closed"),
        "The service at {0} ends the connection: it may want a certificate of its callers, with "
        "`Tls(certificate=..., key=...)` or `--tls-cert` and `--tls-key`.",
        encrypted=True,
    ),
    Trouble(
        (UNCONNECTED, "Socket closed"),
        f"The service at {{0}} ends the connection: it may want TLS, with {TLS}.",
        encrypted=False,
    ),
)


def trouble_in(details: str, *, encrypted: bool) -> Trouble | None:
    """The trouble that gRPC's words tell of; None for words of any other kind."""
    fitting = (
        trouble
        for trouble in TROUBLES
        if trouble.encrypted in (None, encrypted) and all(sign in details for sign in trouble.signs)
    )
    return next(fitting, None)
