from contextlib import suppress
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError

from selfie3d_worker.consumer import ForgetfulQoS


class Channel:
    """As much of a channel as its QoS needs; Redis is gone."""

    connection_errors = (RedisConnectionError,)

    do_restore = False

    def conn_or_acquire(self, client: Any = None) -> Any:
        del client
        raise RedisConnectionError("gone")


@pytest.mark.parametrize(("kind", "stuck"), [(ForgetfulQoS, False), (transport.QoS, True)])
def test_an_ack_that_is_lost_leaves_the_place_in_the_prefetch_window(kind: Any, stuck: bool) -> None:
    qos = kind(Channel(), prefetch_count=1)
    qos._delivered["tag"] = object()
    assert not qos.can_consume()
    with suppress(RedisConnectionError):  # kombu's own raises it: the reason why ours exists
        qos.ack("tag")
    assert qos.can_consume() is not stuck


def test_a_connections_channel_takes_another_qos() -> None:
    with Connection("memory://") as connection:
        connection.default_channel.QoS = ForgetfulQoS
        assert isinstance(connection.default_channel.qos, ForgetfulQoS)
