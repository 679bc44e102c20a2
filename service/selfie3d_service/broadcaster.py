"""Events of many jobs to many watchers with one subscription a process.

Redis rings a doorbell (pub/sub) with each event. A feed, one for all watchers of a job, takes the event when it is the
next one, and reads the job's stream when it is not. A lost ring costs POLL_SECONDS at most. Slow watchers hold nothing
back: each has its own place in the feed's list. A second channel tells of meshes that were sent ahead; that of a lost
message is sent when its job has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from redis.exceptions import RedisError

from selfie3d_jobs import AsyncStore, JobEvent, MeshAhead, Reason, Record
from selfie3d_jobs.keys import AHEAD, DOORBELL
from selfie3d_jobs.queries import ANYONE, events, get
from selfie3d_jobs.record import parse_ring
from selfie3d_jobs.store import HEALTH_SECONDS
from selfie3d_service.errors import CallError
from selfie3d_service.supervision import wait_at_most

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0  # also how long a broken subscription can stay unnoticed
RECONNECT_SECONDS = 0.2


class Feed:
    """The events of one job that somebody watches."""

    def __init__(self, store: AsyncStore, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._events: list[JobEvent] = []
        self._meshes: list[MeshAhead] = []
        self._record: asyncio.Future[Record] | None = None
        self._error: Exception | None = None
        self._bell = asyncio.Event()
        self._changed = asyncio.Event()
        self.watchers = 0
        self.pump = asyncio.create_task(self._pump())

    def ring(self, event: JobEvent | None = None) -> None:
        """There is something new: this event, or nobody knows what."""
        if event and self._events and event.number == self._events[-1].number + 1:
            self._add([event])
        elif event is None or event.number > self._last:
            self._bell.set()

    def tell(self, mesh: MeshAhead) -> None:
        """A mesh was sent ahead. One of an attempt that is not the job's any more counts for nothing."""
        if self._events and self._events[-1].attempt == mesh.attempt and mesh not in self._meshes:
            self._meshes.append(mesh)
            self._wake()

    def fail(self, error: Exception) -> None:
        """Let every watcher raise the error."""
        self._error = error
        self._changed.set()

    async def after(self, number: int, told: int | None = None) -> tuple[list[JobEvent], list[MeshAhead]]:
        """The known events with a larger number, and the meshes sent ahead but for the first `told`; waits for one.

        told : None: no mesh is waited for
        Raises what reading raised.
        """
        while True:
            if self._error:
                raise self._error
            events = [event for event in self._events if event.number > number]
            meshes = [] if told is None else self._meshes[told:]
            if events or meshes:
                return events, meshes
            await self._changed.wait()

    async def ended(self) -> Record:
        """The job as it ended, read once for all watchers. Raises what reading raised."""
        if self._record is None:
            self._record = asyncio.ensure_future(self._store.run(get(self._job_id, ANYONE)))
        return await asyncio.shield(self._record)

    async def _pump(self) -> None:
        try:
            while not self._ended:
                self._bell.clear()
                await self._read()
                await wait_at_most(self._bell, POLL_SECONDS)
        except Exception as error:
            self.fail(error)

    async def _read(self) -> None:
        fresh = await self._store.run(events(self._job_id, self._last))
        self._add([event for event in fresh if event.number > self._last])  # rings may have come meanwhile

    def _add(self, fresh: list[JobEvent]) -> None:
        if fresh:
            self._events += fresh
            self._wake()
        if self._ended:
            self._bell.set()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def _last(self) -> int:
        return self._events[-1].number if self._events else 0

    @property
    def _ended(self) -> bool:
        return bool(self._events) and self._events[-1].state.ended


class EventBroadcaster:
    """All feeds of the process."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._feeds: dict[str, Feed] = {}
        self._closed = False
        self._listening = False

    async def follow(
        self, job_id: str, after: int, *, early: bool = False
    ) -> AsyncIterator[tuple[JobEvent | MeshAhead, Record | None]]:
        """The job's events with a number above `after`, until it has ended; with the last the job as it ended.

        early : with the meshes that are sent ahead of the end
        Raises JobNotFound, StoreUnavailable, CallError when the process goes down.
        """
        feed = self._enter(job_id)
        told = 0 if early else None
        try:
            while True:
                events, meshes = await feed.after(after, told)
                for event in events:
                    if event.state.ended:
                        yield event, await feed.ended()
                        return
                    yield event, None
                    after = event.number
                for mesh in meshes:
                    yield mesh, None
                if told is not None:
                    told += len(meshes)
        finally:
            self._leave(job_id, feed)

    async def listen(self) -> None:
        """Serve the doorbell until the subscription breaks."""
        bell, (doorbell, ahead) = self._store.subscription(DOORBELL, AHEAD)
        try:
            await bell.subscribe(doorbell, ahead)
            self._listening = True
            for feed in self._feeds.values():
                feed.ring()
            await self._serve(bell, ahead)
        except (RedisError, OSError):
            if self._listening:
                log.warning("The event subscription broke; connecting again.", extra={"action": "subscribe"})
            self._listening = False
        finally:
            await bell.aclose()

    def close(self) -> None:
        """Send every watcher to another server."""
        self._closed = True
        for feed in self._feeds.values():
            feed.fail(CallError(Reason.SHUTTING_DOWN))

    async def _serve(self, bell: object, ahead: str) -> None:
        while True:
            message = await bell.get_message(timeout=HEALTH_SECONDS)  # type: ignore[attr-defined]
            if message and message["channel"] == ahead.encode():
                job_id, mesh = MeshAhead.parse(message["data"])
                if feed := self._feeds.get(job_id):
                    feed.tell(mesh)
            elif message:
                job_id, event = parse_ring(message["data"])
                if feed := self._feeds.get(job_id):
                    feed.ring(event)

    def _enter(self, job_id: str) -> Feed:
        if self._closed:
            raise CallError(Reason.SHUTTING_DOWN)
        feed = self._feeds.get(job_id)
        if feed is None or feed.pump.done():
            feed = self._feeds[job_id] = Feed(self._store, job_id)
        feed.watchers += 1
        return feed

    def _leave(self, job_id: str, feed: Feed) -> None:
        feed.watchers -= 1
        if feed.watchers == 0:
            feed.pump.cancel()
            if self._feeds.get(job_id) is feed:
                del self._feeds[job_id]
