-- Store a photo and accept its job. -> {'CREATED' | 'EXISTING', record} | {'CONFLICT'} | {'REFUSED', reason} | {'LATE'}
-- Safe to repeat: the same id again is EXISTING.
-- A: as admit.lua, and id, timeout (ms), retention (ms), expire_after (ms, or ''), photo_sha256, photo_sha256s and photo_sizes
-- (with spaces; empty unless several photos are of one person), traceparent. ARGV[2]: settings, ARGV[3]: photo, or all one
-- behind the other; none with A.outside: it is an object already, which was announced. LATE: so long ago that it is garbage.
local id = A.id
if get(id, 'state') then return {'EXISTING', record(id)} end
local reason
local found = earlier()
if not found then reason = refusal(0) end  -- Redis counts the photo already: it lies in its memory as our argument
if A.outside and (found or reason) then discard('photo/' .. id) end
if found then return found end
if reason then return {'REFUSED', reason} end
if A.outside and not keep({'photo/' .. id}) then return {'LATE'} end

local deadline = now + A.timeout
local expiry = deadline + A.retention
if not A.outside then redis.call('SET', P .. 'photo:' .. id, ARGV[3], 'PXAT', expiry) end
local serial = redis.call('INCR', P .. 'serial')
set(id, 'id', id, 'serial', serial, 'owner', A.owner, 'state', 'QUEUED', 'queue', A.queue, 'request_id', A.request_id,
  'fingerprint', A.fingerprint, 'wish', A.wish, 'settings', ARGV[2], 'photo_sha256', A.photo_sha256, 'photo_bytes', A.size,
  'photo_sha256s', A.photo_sha256s, 'photo_sizes', A.photo_sizes,
  'create_time', now, 'queue_time', now, 'deadline', deadline, 'expire_time', expiry, 'attempt', 0, 'losses', 0,
  'stage', '', 'progress', '0', 'last_event', 0, 'traceparent', A.traceparent,
  'webhook_lane', A.webhook_lane, 'expire_after', A.expire_after)
if A.outside then set(id, 'outside', '1') end
if A.request_id ~= '' then redis.call('SET', P .. 'request:' .. A.owner .. ':' .. A.request_id, id) end
redis.call('ZADD', P .. 'owner:' .. A.owner, serial, id)
redis.call('ZADD', P .. 'jobs', serial, id)
redis.call('ZADD', P .. 'queued:' .. A.queue, queue_score, id)
redis.call('ZADD', P .. 'deadlines', deadline, id)
redis.call('ZADD', P .. 'expiry', expiry, id)
redis.call('HINCRBY', P .. 'active', A.owner, 1)
count_bytes(A.outside, A.size)
count_created()
event(id, 'QUEUED', '', 0, '0')
count('created:' .. A.queue)
return {'CREATED', record(id)}
