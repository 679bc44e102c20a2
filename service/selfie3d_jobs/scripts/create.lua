-- Accept a job whose photo was just stored.
-- -> {'CREATED' | 'EXISTING', record} | {'CONFLICT'} | {'REFUSED', reason} | {'NO_PHOTO'}
-- Safe to repeat: the same id again is EXISTING.
-- ARGV: as admit.lua, then id, timeout ms, retention ms, settings, photo_sha256, traceparent
local owner, request_id, fingerprint, queue, size = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local id, timeout, retention = ARGV[10], tonumber(ARGV[11]), tonumber(ARGV[12])
local photo = P .. 'photo:' .. id
if get(id, 'state') then return {'EXISTING', record(id)} end

if redis.call('EXISTS', photo) == 0 then return {'NO_PHOTO'} end

local found = earlier(owner, request_id, fingerprint)
local reason = not found and refusal(owner, queue, size, 0, tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]),
  tonumber(ARGV[9]))
if found or reason then
  redis.call('UNLINK', photo)
  return found or {'REFUSED', reason}
end

local deadline = now + timeout
local expiry = deadline + retention
local serial = redis.call('INCR', P .. 'serial')
set(id, 'id', id, 'serial', serial, 'owner', owner, 'state', 'QUEUED', 'queue', queue, 'request_id', request_id,
  'fingerprint', fingerprint, 'settings', ARGV[13], 'photo_sha256', ARGV[14], 'photo_bytes', size,
  'create_time', now, 'queue_time', now, 'deadline', deadline, 'expire_time', expiry, 'attempt', 0, 'losses', 0,
  'stage', '', 'progress', '0', 'last_event', 0, 'traceparent', ARGV[15])
redis.call('PEXPIREAT', photo, expiry)
if request_id ~= '' then redis.call('SET', P .. 'request:' .. owner .. ':' .. request_id, id) end
redis.call('ZADD', P .. 'owner:' .. owner, serial, id)
redis.call('ZADD', P .. 'queued:' .. queue, now, id)
redis.call('ZADD', P .. 'deadlines', deadline, id)
redis.call('ZADD', P .. 'expiry', expiry, id)
redis.call('HINCRBY', P .. 'active', owner, 1)
redis.call('INCRBY', P .. 'bytes', size)
event(id, 'QUEUED', '', 0, '0')
count('created:' .. queue)
return {'CREATED', record(id)}
