"""Names of the keys that Python reads or writes itself, after the prefix. All others live in scripts/*.lua.

job:ID          hash      the record
photo:ID        string    the photo's bytes, until the job ends
mesh:ID:FACE    string    a mesh file
preview:ID:FACE string    a picture of a head
ahead:ID:ATTEMPT:FACE  string  a mesh file of an attempt that has not ended, for one lease
ended:ID        string    outcome and events of a job that has ended and whose blobs lie outside Redis
events:ID       stream    progress; entry N-0 is event number N
request:OWNER:REQUEST_ID  string  id of the job it made
owner:OWNER     zset      the owner's jobs by serial number
jobs            zset      all jobs by serial number
rate:minute:OWNER, rate:day:OWNER  numbers: jobs created in this minute or day, where a token limits them
active          hash      owner -> jobs that have not ended
queued:QUEUE    zset      QUEUED jobs by the time they were last published, ms
paused          hash      paused queue -> since when (ms), a space, and who paused it
leases          zset      RUNNING jobs by the end of their lease, ms
deadlines       zset      jobs that have not ended, by deadline, ms
expiry          zset      all jobs by the time they are removed, ms
workers, seen   hash, zset  reports of worker children; when each was last heard of
counters        hash      what metrics show
webhook:ID      hash      the record of an ended job whose webhook was not delivered yet, and webhook_attempt
webhooks        zset      those by the job's end, ms
webhook_lane:LANE  zset   those of one lane (webhooks.lane_of) by when they are due, ms
webhook_lanes   zset      lanes by when their first webhook is due, ms
webhook_counts  hash      owner -> webhooks not delivered yet
bytes, outside_bytes  numbers: photos and meshes in Redis, and in the bucket
serial, life, back  numbers: newest serial; last sign of any worker or service; when the last silence of all of them
                ended, ms
owner, sweep    strings   the number of this deployment's objects; that they were swept within the hour
uploads         zset      objects on their way to the bucket by when they count as left over, ms
garbage         zset      objects to delete from the bucket by when that is due, ms
QUEUE, unacked, ...       kombu's own
"""

from __future__ import annotations


def photo(job_id: str) -> str:
    """The photo's bytes."""
    return f"photo:{job_id}"


def mesh(job_id: str, face: int) -> str:
    """A mesh file's bytes."""
    return f"mesh:{job_id}:{face}"


def preview(job_id: str, face: int) -> str:
    """The bytes of a head's picture."""
    return f"preview:{job_id}:{face}"


def ahead(job_id: str, attempt: int, face: int) -> str:
    """The bytes of a mesh file whose attempt has not ended yet."""
    return f"ahead:{job_id}:{attempt}:{face}"


DOORBELL = "doorbell"  # pub/sub channel: each new event, see record.parse_ring
AHEAD = "ahead"  # pub/sub channel: each mesh file that was sent ahead, see record.MeshAhead
