import pytest
from kombu.connection import Connection
from kombu.utils.url import parse_url

from selfie3d_jobs import ConfigError, JobsConfig
from selfie3d_jobs.broker import create_app
from selfie3d_jobs.sentinel_url import SentinelUrl, is_sentinel_url

FULL = (
    "rediss+sentinel://me:p%40ss@a:1,[::1]:2,c/faces/3?ssl_ca_certs=/ca.pem&sentinel_username=s&sentinel_password=q%26"
)


def test_an_address_says_where_the_sentinels_are_and_how_to_reach_the_primary() -> None:
    found = SentinelUrl.of(FULL)
    assert found.sentinels == (("a", 1), ("::1", 2), ("c", 26379))
    assert (found.master, found.db, found.tls) == ("faces", 3, True)
    assert found.server_options == {
        "username": "me",
        "password": "p@ss",
        "db": 3,
        "ssl": True,
        "ssl_ca_certs": "/ca.pem",
    }
    assert found.sentinel_options(0.5) == {
        "username": "s",
        "password": "q&",
        "ssl": True,
        "ssl_ca_certs": "/ca.pem",
        "socket_timeout": 0.5,
        "socket_connect_timeout": 0.5,
    }


def test_the_shortest_address_has_redis_and_sentinels_own_defaults() -> None:
    found = SentinelUrl.of("redis+sentinel://a/faces")
    assert (found.sentinels, found.master, found.db, found.tls) == ((("a", 26379),), "faces", 0, False)
    assert found.server_options == {}


def test_the_database_may_be_an_option_and_then_wins_as_with_redis_py() -> None:
    assert SentinelUrl.of("redis+sentinel://a/faces?db=2").db == 2
    assert SentinelUrl.of("redis+sentinel://a/faces/1?db=2").db == 2


def test_kombu_gets_each_sentinel_with_all_that_a_connection_needs() -> None:
    first, second, third = map(parse_url, SentinelUrl.of(FULL).for_kombu().split(";"))
    assert [(each["hostname"], each["port"]) for each in (first, second, third)] == [("a", 1), ("::1", 2), ("c", 26379)]
    for each in (first, second, third):
        assert (each["transport"], each["userid"], each["password"]) == ("sentinel", "me", "p@ss")
        assert each["virtual_host"] == "3"
        assert each["ssl"]["ssl_ca_certs"] == "/ca.pem"
        assert each["ssl"]["ssl_cert_reqs"].name == "CERT_REQUIRED"


def test_celery_asks_the_sentinels_for_the_primary_by_its_name() -> None:
    conf = create_app(JobsConfig(redis_url=FULL)).conf
    assert conf.broker_transport_options["master_name"] == "faces"
    assert conf.broker_transport_options["sentinel_kwargs"]["password"] == "q&"
    assert Connection(conf.broker_url).transport_cls == "sentinel"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a,b",
        "redis+sentinel://a,b/",
        "redis+sentinel:///faces",
        "redis+sentinel://a,,b/faces",
        "redis+sentinel://a:x,b/faces",
        "redis+sentinel://a:0/faces",
        "redis+sentinel://a/faces/first",
        "redis+sentinel://u:p/w@a/faces",
        "sentinel://a/faces",
    ],
)
def test_what_is_no_such_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        JobsConfig(redis_url=url)
    assert "redis+sentinel://" in str(raised.value)
    assert "p/w" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_address_of_one_redis_is_none_of_sentinels() -> None:
    assert not is_sentinel_url("redis://127.0.0.1:6379/0")
    assert not is_sentinel_url("unix:///run/redis.sock?db=0")


def test_passwords_are_not_shown() -> None:
    assert "p@ss" not in repr(SentinelUrl.of(FULL))
    assert "q&" not in repr(SentinelUrl.of(FULL))
