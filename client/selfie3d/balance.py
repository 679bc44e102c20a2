"""Turns between the addresses of a service: one HTTP/2 connection stays with one of them for as long as it lasts."""

from __future__ import annotations

ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


def balancing(target: str) -> list[tuple[str, str | int]]:
    """Options of a channel: calls take turns between all addresses that DNS has for a `dns:` target.

    Other targets keep gRPC's default, the first address that answers: `localhost` has two, and only one may listen.
    """
    return [("grpc.service_config", ROUND_ROBIN)] if target.startswith("dns:") else []
