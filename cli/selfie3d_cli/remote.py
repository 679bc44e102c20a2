"""Reconstruction by a service."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from selfie3d import Client, InvalidArgument, InvalidConnection, Job, JobEnded, JobOptions, Retry, Selfie3dError
from selfie3d_cli.arguments import server_of
from selfie3d_cli.outcome import PhotoFailedError
from selfie3d_cli.server_options import may_leak, refusal, tls_of, token_of
from selfie3d_cli.settings import from_environment

if TYPE_CHECKING:
    from selfie3d import Result

CANCEL_TIMEOUT = 2.0  # seconds


class RemoteBackend:
    """Sends photos to a service; any number of threads may do so."""

    at_once = 4
    engine: str | None = None

    def __init__(self, client: Client, address: str, options: JobOptions) -> None:
        self._client = client
        self._address = address
        self._options = options
        self._running: set[Job] = set()

    def reconstruct(self, photo: bytes | list[bytes], on_progress: Callable[[str, float], None]) -> Result:
        """See `Backend`. Raises PhotoFailedError."""
        try:
            return self._follow(photo, on_progress)
        except Selfie3dError as error:
            raise PhotoFailedError(error.reason, self._words(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def abandon(self) -> None:
        """Cancel what runs: nobody waits for it any more."""
        for job in list(self._running):
            with suppress(Selfie3dError):
                job.cancel(timeout=CANCEL_TIMEOUT)

    def _words(self, error: Selfie3dError) -> str:
        """For people; with the address, unless the photo or the job is meant."""
        if error.reason == "TOKEN_MISSING":
            return f"The service at {self._address} wants a token: give it with --token-file FILE or in SELFIE3D_TOKEN."
        meant = isinstance(error, JobEnded | InvalidArgument) or self._address in str(error)
        return str(error) if meant else f"{self._address}: {error}"

    def _follow(self, photo: bytes | list[bytes], on_progress: Callable[[str, float], None]) -> Result:
        on_progress("sending", 0.0)
        job = self._client.submit(photo, **self._options)
        self._running.add(job)
        result = job.result(on_event=lambda event: on_progress(event.stage or event.state, event.progress))
        self._running.discard(job)
        return result


def open_remote(args: argparse.Namespace, options: JobOptions) -> RemoteBackend:
    """The service of --server, SELFIE3D_SERVER or localhost. Raises UsageError."""
    address = server_of(args.server, from_environment().server)
    try:
        client = Client(
            address,
            token=token_of(args),
            insecure_token=may_leak(args),
            tls=tls_of(args) or False,
            timeout=args.timeout,
            retry=Retry(quota=True),
        )
    except InvalidConnection as error:
        raise refusal(error, args) from error
    return RemoteBackend(client, address, options)
