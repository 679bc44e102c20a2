"""externalscaler.ExternalScaler: KEDA asks how many jobs there are, and starts and stops workers by the answer."""

# ruff: noqa: N802

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from selfie3d_jobs import AsyncStore, Reason, StoreUnavailable
from selfie3d_jobs.maintenance import snapshot
from selfie3d_service.errors import CallError
from selfie3d_service.scaler import externalscaler_pb2 as pb
from selfie3d_service.scaler import externalscaler_pb2_grpc as rpc
from selfie3d_service.supervision import wait_at_most

METRIC = "selfie3d_jobs"
SHARE = "jobsPerReplica"  # key of a trigger's metadata
MOST_PER_REPLICA = 1e6
LOOK_SECONDS = 1.0  # a new job is told to a stream within; a worker takes longer to start


class ScalerServicer(rpc.ExternalScalerServicer):
    """Every answer is a new look at the store, one at a time: nobody who asks much can hold Redis up.

    Raises StoreUnavailable while Redis is away, upon which KEDA leaves the workers as they are.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._turn = asyncio.Lock()
        self._closing = asyncio.Event()

    async def IsActive(self, request: pb.ScaledObjectRef, context: object) -> pb.IsActiveResponse:
        """Whether any worker is needed."""
        del request, context
        return pb.IsActiveResponse(result=await self._demand() > 0)

    async def StreamIsActive(self, request: pb.ScaledObjectRef, context: object) -> AsyncIterator[pb.IsActiveResponse]:
        """The same at once and with every change, until the service goes down. Silent while Redis is away.

        It ends as if all was said: after an error KEDA would come back only after a minute.
        """
        del request, context
        said: bool | None = None
        while not self._closing.is_set():
            with suppress(StoreUnavailable):
                active = await self._demand() > 0
                if active is not said:
                    yield pb.IsActiveResponse(result=active)
                    said = active
            await wait_at_most(self._closing, LOOK_SECONDS)

    async def GetMetricSpec(self, request: pb.ScaledObjectRef, context: object) -> pb.GetMetricSpecResponse:
        """What one replica is for."""
        del context
        share = jobs_per_replica(request.scaler_metadata)
        spec = pb.MetricSpec(metric_name=METRIC, target_size=math.ceil(share), target_size_float=share)
        return pb.GetMetricSpecResponse(metric_specs=[spec])

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: object) -> pb.GetMetricsResponse:
        """Running jobs, and those that wait in a queue that is not paused."""
        del context
        if request.metric_name != METRIC:
            text = f"There is no metric {request.metric_name[:64]!r}: {METRIC} is the one there is."
            raise CallError(Reason.REQUEST_MALFORMED, text, field="metric_name")
        jobs = await self._demand()
        value = pb.MetricValue(metric_name=METRIC, metric_value=jobs, metric_value_float=jobs)
        return pb.GetMetricsResponse(metric_values=[value])

    def close(self) -> None:
        """End the streams."""
        self._closing.set()

    async def _demand(self) -> int:
        async with self._turn:
            return (await self._store.run(snapshot())).demand


def jobs_per_replica(metadata: Mapping[str, str]) -> float:
    """The share of a trigger's metadata. Raises CallError."""
    text = metadata.get(SHARE, "1")
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= MOST_PER_REPLICA:
        text = f"{SHARE} is {text[:64]!r}: a number above 0 is wanted, {MOST_PER_REPLICA:g} at most."
        raise CallError(Reason.REQUEST_MALFORMED, text, field="scaler_metadata")
    return share
