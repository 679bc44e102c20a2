import pytest

from selfie3d_jobs import Reason
from selfie3d_service import ServiceError
from selfie3d_service.gate import Gate


def test_a_gate_lets_its_limit_in_and_a_ticket_counts_once() -> None:
    gate = Gate(2, Reason.UPLOADS_BUSY)
    first, _ = gate.enter(), gate.enter()
    with pytest.raises(ServiceError) as refused:
        gate.enter()
    assert refused.value.reason is Reason.UPLOADS_BUSY
    first.give_back()
    first.give_back()
    gate.enter()
    with pytest.raises(ServiceError):
        gate.enter()
