import pytest
from kombu.utils.url import parse_url

from selfie3d_jobs import JobsConfig
from selfie3d_jobs.broker import HARD_LIMIT_SECONDS, broker_url, create_app


@pytest.mark.parametrize(
    ("redis_url", "kombu_url"),
    [
        ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
        ("redis://u:p@host:1/0", "redis://u:p@host:1/0"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
        ("unix://u:p@/run/redis.sock", "redis+socket://u:p@/run/redis.sock?virtual_host=0"),
    ],
)
def test_a_redis_url_in_kombus_spelling(redis_url: str, kombu_url: str) -> None:
    assert broker_url(redis_url) == kombu_url


def test_tls_to_redis_always_checks_the_certificate() -> None:
    options = parse_url(broker_url("rediss://host:6380/0?ssl_ca_certs=/ca.pem"))
    assert options["ssl"]["ssl_ca_certs"] == "/ca.pem"
    assert options["ssl"]["ssl_cert_reqs"].name == "CERT_REQUIRED"


def test_only_json_moves_and_nothing_is_redelivered_while_it_may_still_run() -> None:
    config = JobsConfig(time_limit_seconds=1000)
    conf = create_app(config).conf
    assert (conf.accept_content, conf.task_serializer, conf.task_ignore_result) == (["json"], "json", True)
    assert conf.broker_transport_options["visibility_timeout"] > config.time_limit_seconds + HARD_LIMIT_SECONDS
