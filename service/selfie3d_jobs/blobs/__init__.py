"""Where photos, meshes and pictures lie: in Redis with their job's record, or as objects in a bucket or shared folder.

See docs/adr/0011-blobs.md.
"""

from selfie3d_jobs.blob_place import Place, place_of
from selfie3d_jobs.blobs.async_blobs import AsyncBlobs, SignedUrl
from selfie3d_jobs.blobs.async_bucket import AsyncBucket
from selfie3d_jobs.blobs.bucket import Bucket
from selfie3d_jobs.blobs.trial import try_out
from selfie3d_jobs.blobs.worker_blobs import WorkerBlobs

__all__ = ["AsyncBlobs", "AsyncBucket", "Bucket", "Place", "SignedUrl", "WorkerBlobs", "place_of", "try_out"]
