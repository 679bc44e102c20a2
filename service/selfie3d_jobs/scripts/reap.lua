-- One pass of the reaper, a bounded number of jobs each. Any number of reapers may run.
-- -> {jobs to publish: id, queue, traceparent, time, whether at the front, ...; {ended, requeued, purged}}
-- A: lease (ms), grace (ms), max_losses; POISON_INPUT's code, reason and message
even_when_full()
local LIMIT = 200
local ended, requeued, purged = 0, 0, 0

note_life()
local trusted = now >= tonumber(redis.call('GET', P .. 'back')) + A.lease

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now, 'LIMIT', 0, LIMIT)) do
  if is_active(get(id, 'state')) then
    expire(id)
    ended = ended + 1
  else
    redis.call('ZREM', P .. 'deadlines', id)
  end
end

if trusted then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, LIMIT)) do
    if get(id, 'state') ~= 'RUNNING' then
      redis.call('ZREM', P .. 'leases', id)
    elseif redis.call('HINCRBY', job_key(id), 'losses', 1) >= A.max_losses then
      finish(id, 'FAILED', A.code, A.reason, A.message)
      ended = ended + 1
    else
      requeue(id)
      count('requeued:lost')
      requeued = requeued + 1
    end
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'expiry', '-inf', now, 'LIMIT', 0, LIMIT)) do
  purge(id)
  purged = purged + 1
end

-- The index of all jobs is that of their ends: a service of another version, which does not know it, may have run here.
if redis.call('ZCARD', P .. 'jobs') ~= redis.call('ZCARD', P .. 'expiry') then
  for _, id in ipairs(redis.call('ZDIFF', 2, P .. 'expiry', P .. 'jobs')) do
    local serial = get(id, 'serial')
    if serial then redis.call('ZADD', P .. 'jobs', serial, id) end
  end
  for _, id in ipairs(redis.call('ZDIFF', 2, P .. 'jobs', P .. 'expiry')) do redis.call('ZREM', P .. 'jobs', id) end
end

local silent = redis.call('ZRANGEBYSCORE', P .. 'seen', '-inf', now - 60000)
for _, name in ipairs(silent) do
  redis.call('HDEL', P .. 'workers', name)
  redis.call('ZREM', P .. 'seen', name)
end

-- Messages of jobs that ended while they waited and are still in the queue leave it here: nobody might come to drop them,
-- and they count as waiting.
local function drop_ended(queue)
  if redis.call('LLEN', P .. queue) <= redis.call('ZCARD', P .. 'queued:' .. queue) then return end
  for _, message in ipairs(redis.call('LRANGE', P .. queue, -5 * LIMIT, -1)) do
    local id = headers(message).id
    if type(id) == 'string' and not is_active(get(id, 'state')) then redis.call('LREM', P .. queue, -1, message) end
  end
end

-- A queue is consumed from the list's tail in the order of publishing: a job published before the one at the tail,
-- or any job when the list is empty, has no message any more (or a worker is just taking it: a second one is harmless).
-- The message tells when it was published: the job's score may be that of a later message, further back in the list.
-- A paused queue has none: what was sent on its way to there goes.
local publish = {}
local function publish_lost(queue)
  drop_ended(queue)
  local head, before = redis.call('LINDEX', P .. queue, -1), now - A.grace
  if head then before = math.min(before, (tonumber(headers(head).published) or 1) - 1) end
  local ids = redis.call('ZRANGEBYSCORE', P .. 'queued:' .. queue, '-inf', before, 'LIMIT', 0, LIMIT)
  if #ids > 0 then count('republished', #ids) end
  publish_again(queue, ids, publish)
end
for _, queue in ipairs(QUEUES) do
  if is_paused(queue) then redis.call('UNLINK', P .. queue) else publish_lost(queue) end
end
return {publish, {ended, requeued, purged}}
