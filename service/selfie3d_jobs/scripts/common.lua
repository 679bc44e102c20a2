-- In front of every script. KEYS[1] is the prefix of all keys; times are Redis's own clock in ms.
-- One Redis (or a primary with replicas), not a cluster: keys are built here, as in Celery's Redis transport.
local P = KEYS[1]
local A = cjson.decode(ARGV[1])  -- the arguments by name; blobs follow as ARGV[2], ARGV[3], ...
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local queue_score = now + clock[2] % 1000 / 1000  -- to the microsecond, so that jobs of one ms keep their order
local QUEUES = {'interactive', 'bulk'}

-- A write that needs no memory opens a script that must also work when Redis has reached maxmemory:
-- Redis refuses only a script whose FIRST write wants memory.
local function even_when_full() redis.call('DEL', P .. 'nothing') end

local function job_key(id) return P .. 'job:' .. id end
local function get(id, field) return redis.call('HGET', job_key(id), field) end
local function number(id, field) return tonumber(get(id, field) or '0') end
local function set(id, ...) redis.call('HSET', job_key(id), ...) end
local function count(name, by) redis.call('HINCRBY', P .. 'counters', name, by or 1) end

-- No worker takes a job of a paused queue, and the queue has no messages: resume.lua has them published anew.
local function is_paused(queue) return redis.call('HEXISTS', P .. 'paused', queue) == 1 end

-- About which job in line this is, from 1, by when it was last published: bulk jobs wait for the interactive ones, unless
-- these are paused. O(log n).
local function queue_position(id)
  local queue = get(id, 'queue')
  local rank = redis.call('ZRANK', P .. 'queued:' .. queue, id)
  if not rank then return 0 end
  local first = queue == QUEUES[1] or is_paused(QUEUES[1])
  local overtaking = first and 0 or redis.call('ZCARD', P .. 'queued:' .. QUEUES[1])
  return overtaking + rank + 1
end

-- Photos and meshes that lie outside Redis are objects: blobs/garbage.py says how their names come and go.
local function is_outside(id) return get(id, 'outside') == '1' end

-- The outcome and the events of a job that has ended and lies outside, in one string: see shrink.
local function read_ended(id)
  local packed = redis.call('GET', P .. 'ended:' .. id)
  return packed and cmsgpack.unpack(packed) or nil
end

-- The job's fields and values, and while it waits queue_position and queue_paused, which are not stored.
local function record(id)
  local fields = redis.call('HGETALL', job_key(id))
  local ended = is_outside(id) and read_ended(id)
  if ended then
    fields[#fields + 1] = 'outcome'
    fields[#fields + 1] = ended.outcome
  end
  if get(id, 'state') == 'QUEUED' then
    fields[#fields + 1] = 'queue_position'
    fields[#fields + 1] = tostring(queue_position(id))
    fields[#fields + 1] = 'queue_paused'
    fields[#fields + 1] = is_paused(get(id, 'queue')) and '1' or '0'
  end
  return fields
end

local function is_active(state) return state == 'QUEUED' or state == 'RUNNING' end

-- Seconds into a histogram of the counters hash. The bounds are those of counters.py.
local BOUNDS = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
local function observe(name, seconds)
  local bound = 'inf'
  for _, b in ipairs(BOUNDS) do
    if seconds <= b then bound = tostring(b) break end
  end
  count(name .. ':le:' .. bound)
  redis.call('HINCRBYFLOAT', P .. 'counters', name .. ':sum', seconds)
end

-- Append the next event and ring the doorbell of the services: who is up to date need not read the stream.
local function event(id, state, stage, attempt, progress)
  local serial = redis.call('HINCRBY', job_key(id), 'last_event', 1)
  local key = P .. 'events:' .. id
  local fields = {'time', now, 'state', state, 'stage', stage, 'attempt', attempt, 'progress', progress}
  redis.call('XADD', key, 'MAXLEN', '~', 256, serial .. '-0', unpack(fields))
  if serial == 1 then redis.call('PEXPIREAT', key, number(id, 'expire_time')) end
  redis.call('PUBLISH', P .. 'doorbell', table.concat({id, serial, unpack(fields)}, ' '))
end

-- Called by all who write every second or two. After a silence of all of them Redis was away, no lease could be renewed,
-- and leases count again only when their holders have had the time to renew them.
local SILENCE = 3000  -- ms
local function note_life()
  local last = tonumber(redis.call('GET', P .. 'life') or '0')
  redis.call('SET', P .. 'life', now)
  if now - last > SILENCE then redis.call('SET', P .. 'back', now) end
end

-- What lies outside Redis is counted apart: it takes no room here.
local function count_bytes(outside, by)
  if by ~= 0 then redis.call('INCRBY', P .. (outside and 'outside_bytes' or 'bytes'), by) end
end

local function forget_bytes(id, field)
  local bytes = number(id, field)
  if bytes > 0 then
    count_bytes(is_outside(id), -bytes)
    set(id, field, 0)
  end
end

-- Webhooks that wait to be sent lie in lanes, one for each receiver of each owner: "ORIGIN OWNER".
local function refresh_lane(lane)
  local first = redis.call('ZRANGE', P .. 'webhook_lane:' .. lane, 0, 0, 'WITHSCORES')
  if first[1] then redis.call('ZADD', P .. 'webhook_lanes', first[2], lane)
  else redis.call('ZREM', P .. 'webhook_lanes', lane) end
end

local function schedule_webhook(id, lane, time)
  redis.call('ZADD', P .. 'webhook_lane:' .. lane, time, id)
  refresh_lane(lane)
end

-- The message that a job has ended: its record as it is now, kept apart, because the job may be removed before it is sent.
local function post_webhook(id, outcome)
  local lane = get(id, 'webhook_lane')
  if not lane or lane == '' then return end
  redis.call('COPY', job_key(id), P .. 'webhook:' .. id, 'REPLACE')
  if outcome then redis.call('HSET', P .. 'webhook:' .. id, 'outcome', outcome) end
  redis.call('ZADD', P .. 'webhooks', now, id)
  redis.call('HINCRBY', P .. 'webhook_counts', get(id, 'owner'), 1)
  schedule_webhook(id, lane, now)
end

-- Remove the message, if it is there.
local function drop_webhook(id)
  local fields = redis.call('HMGET', P .. 'webhook:' .. id, 'owner', 'webhook_lane')
  local owner, lane = fields[1], fields[2]
  if not owner then return end
  redis.call('DEL', P .. 'webhook:' .. id)
  redis.call('ZREM', P .. 'webhooks', id)
  redis.call('ZREM', P .. 'webhook_lane:' .. lane, id)
  refresh_lane(lane)
  if redis.call('HINCRBY', P .. 'webhook_counts', owner, -1) <= 0 then redis.call('HDEL', P .. 'webhook_counts', owner) end
end

-- The headers of a message of kombu's; empty for what is none.
local function headers(message)
  local ok, read = pcall(cjson.decode, message)
  return ok and type(read) == 'table' and type(read.headers) == 'table' and read.headers or {}
end

-- Take the message of a waiting job out of its queue. It lies about as far from the tail as the job is in line; what is
-- further away, or was sent a moment ago and is still on its way, is left to workers and the reaper.
local NEAR = 100  -- messages looked at in either direction
local function drop_message(id)
  local queue = get(id, 'queue')
  local rank = redis.call('ZRANK', P .. 'queued:' .. queue, id)
  if not rank then return end
  for _, message in ipairs(redis.call('LRANGE', P .. queue, -rank - NEAR, -math.max(rank - NEAR, 1))) do
    if string.find(message, id, 1, true) and headers(message).id == id then
      redis.call('LREM', P .. queue, -1, message)
    end
  end
end

-- A job that says how long it is kept goes so long after its end, which is now. Never later than without that: the service
-- accepts no more than its own retention time, which counts from the deadline.
local function settle_expiry(id)
  local kept = tonumber(get(id, 'expire_after') or '')
  if not kept then return end
  local expiry = math.min(number(id, 'expire_time'), now + kept)
  set(id, 'expire_time', expiry)
  redis.call('ZADD', P .. 'expiry', expiry, id)
  redis.call('PEXPIREAT', P .. 'events:' .. id, expiry)
end

local function discard(name)
  redis.call('ZREM', P .. 'uploads', name)
  redis.call('ZADD', P .. 'garbage', now, name)
end

-- The objects are a job's from now on. False when one of them was on its way for so long that it is garbage.
local function keep(names)
  for _, name in ipairs(names) do
    if not redis.call('ZSCORE', P .. 'uploads', name) then return false end
  end
  for _, name in ipairs(names) do redis.call('ZREM', P .. 'uploads', name) end
  return true
end

local function discard_photo(id)
  if is_outside(id) and number(id, 'photo_bytes') > 0 then discard('photo/' .. id) end
end

local function discard_files(id)
  if not is_outside(id) then return end
  local folder = id .. '/' .. number(id, 'attempt') .. '/'
  for face = 0, number(id, 'files') - 1 do discard('mesh/' .. folder .. face .. get(id, 'extension')) end
  for face = 0, number(id, 'previews') - 1 do discard('preview/' .. folder .. face .. '.webp') end
end

-- Of a job that has ended and lies outside Redis keeps little: its record as a listpack, which wants short values, and its
-- outcome and events in one string.
local function shrink(id, outcome)
  local key, events, first, before = P .. 'events:' .. id, {}, 0, 0
  for i, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
    if i == 1 then first = tonumber(string.match(entry[1], '^%d+')) end
    local _, time, _, state, _, stage, _, attempt, _, progress = unpack(entry[2])
    events[i] = table.concat({string.format('%d', time - before), string.sub(state, 1, 1), stage, attempt, progress}, ' ')
    before = time
  end
  redis.call('SET', P .. 'ended:' .. id, cmsgpack.pack({outcome = outcome or '', first = first, events = events}),
    'PXAT', get(id, 'expire_time'))
  redis.call('UNLINK', key)
  redis.call('HDEL', job_key(id), 'token', 'queue_time', 'losses', 'traceparent')
end

-- The key of a mesh file whose attempt has not ended yet.
local function ahead(id, attempt, face) return P .. 'ahead:' .. id .. ':' .. attempt .. ':' .. face end

-- What an attempt has sent ahead of an end that did not come.
local function drop_ahead(id)
  local face = 0
  while redis.call('UNLINK', ahead(id, number(id, 'attempt'), face)) == 1 do face = face + 1 end
end

-- The only way into a final state. The caller has seen that the job is QUEUED or RUNNING.
-- outcome : of a job that lies outside Redis; others have it in their record already
local function finish(id, state, code, reason, message, outcome)
  local owner = get(id, 'owner')
  if get(id, 'state') == 'QUEUED' then drop_message(id) end
  set(id, 'state', state, 'end_time', now)
  settle_expiry(id)
  if reason ~= '' then set(id, 'error_code', code, 'error_reason', reason, 'error_message', message) end
  local progress = get(id, 'progress') or '0'
  if state == 'SUCCEEDED' then progress = '1' end
  event(id, state, get(id, 'stage') or '', number(id, 'attempt'), progress)
  for _, queue in ipairs(QUEUES) do redis.call('ZREM', P .. 'queued:' .. queue, id) end
  redis.call('ZREM', P .. 'leases', id)
  redis.call('ZREM', P .. 'deadlines', id)
  if redis.call('HINCRBY', P .. 'active', owner, -1) <= 0 then redis.call('HDEL', P .. 'active', owner) end
  redis.call('UNLINK', P .. 'photo:' .. id)
  drop_ahead(id)
  discard_photo(id)
  forget_bytes(id, 'photo_bytes')
  count('ended:' .. state .. ':' .. reason)
  post_webhook(id, outcome)
  if is_outside(id) then shrink(id, outcome) end
end

local EXPIRED = {code = 4, reason = 'DEADLINE_PASSED', message = 'The job was not done before its deadline.'}
local HELD = 'The job was not done before its deadline: its queue is paused.'
local function expire(id)
  local held = get(id, 'state') == 'QUEUED' and is_paused(get(id, 'queue'))
  finish(id, 'EXPIRED', EXPIRED.code, EXPIRED.reason, held and HELD or EXPIRED.message)
end

-- The job ends EXPIRED when its deadline is over: true then.
local function is_late(id)
  if now < number(id, 'deadline') then return false end
  expire(id)
  return true
end

-- Back to the queue; a score of 0 makes the reaper publish it in its next pass.
local function requeue(id)
  set(id, 'state', 'QUEUED', 'queue_time', now)
  redis.call('ZREM', P .. 'leases', id)
  redis.call('ZADD', P .. 'queued:' .. get(id, 'queue'), 0, id)
  event(id, 'QUEUED', '', number(id, 'attempt'), get(id, 'progress') or '0')
end

-- Jobs of a queue count as published now, in this order; what publishing them takes is added to a list: id, queue,
-- traceparent, time, whether at the front, ... The scores keep the order and stay within the millisecond.
-- A job that a worker has lost has waited its turn already: it goes to the front, and counts as published before what is
-- at the head now, as every message behind another was published later. Of several the last one sent is the first.
local function publish_again(queue, ids, list)
  local head = redis.call('LINDEX', P .. queue, -1)
  local before = math.max(0, math.min(now, tonumber(head and headers(head).published or now) or now) - 1)
  local function add(i, time, front)
    redis.call('ZADD', P .. 'queued:' .. queue, time + i / (#ids + 1), ids[i])
    local message = {ids[i], queue, get(ids[i], 'traceparent') or '', tostring(time), front}
    for _, value in ipairs(message) do list[#list + 1] = value end
  end
  for i, id in ipairs(ids) do
    if number(id, 'losses') == 0 then add(i, now, '') end
  end
  for i = #ids, 1, -1 do
    if number(ids[i], 'losses') > 0 then add(i, before, '1') end
  end
end

-- How a queue stands: {queue, waiting, running, since when it is paused or '0', by whom}.
local function queue_state(queue)
  local running = 0
  for _, id in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
    if get(id, 'queue') == queue then running = running + 1 end
  end
  local since, by = string.match(redis.call('HGET', P .. 'paused', queue) or '0 ', '^(%d+) (.*)$')
  return {queue, redis.call('ZCARD', P .. 'queued:' .. queue), running, since, by}
end

-- Remove everything of a job that has ended but its webhook.
local function purge(id)
  local owner, request_id = get(id, 'owner'), get(id, 'request_id')
  redis.call('ZREM', P .. 'expiry', id)
  redis.call('ZREM', P .. 'jobs', id)
  if not owner then return end
  redis.call('ZREM', P .. 'owner:' .. owner, id)
  if request_id ~= '' then redis.call('DEL', P .. 'request:' .. owner .. ':' .. request_id) end
  discard_photo(id)
  discard_files(id)
  forget_bytes(id, 'photo_bytes')
  forget_bytes(id, 'mesh_bytes')
  for _, kind in ipairs({{'files', 'mesh:'}, {'previews', 'preview:'}}) do
    for face = 0, number(id, kind[1]) - 1 do redis.call('UNLINK', P .. kind[2] .. id .. ':' .. face) end
  end
  redis.call('UNLINK', P .. 'photo:' .. id, P .. 'events:' .. id, P .. 'ended:' .. id, job_key(id))
end

-- How many jobs an owner may create within a time, where the caller's token says so. A window begins with its first job.
local RATES = {
  {name = 'minute', length = 60 * 1000, reason = 'RATE_EXCEEDED'},
  {name = 'day', length = 24 * 3600 * 1000, reason = 'DAILY_QUOTA_EXCEEDED'},
}
local function rate_key(rate) return P .. 'rate:' .. rate.name .. ':' .. A.owner end

local function rate_refusal()
  for _, rate in ipairs(RATES) do
    local most = A['max_per_' .. rate.name]
    if most > 0 and tonumber(redis.call('GET', rate_key(rate)) or '0') >= most then return rate.reason end
  end
end

local function count_created()
  for _, rate in ipairs(RATES) do
    if A['max_per_' .. rate.name] > 0 and redis.call('INCR', rate_key(rate)) == 1 then
      redis.call('PEXPIRE', rate_key(rate), rate.length)
    end
  end
end

-- Why the photo of admit.lua's arguments, `missing` bytes of which are not in Redis yet, cannot be taken now; or nil.
-- Every accepted job keeps A.reserve bytes for its result, so that it can end also when Redis is full.
local function refusal(missing)
  local waiting = math.max(redis.call('ZCARD', P .. 'queued:' .. A.queue), redis.call('LLEN', P .. A.queue))
  if waiting >= A.max_queued then return 'QUEUE_FULL' end
  if tonumber(redis.call('HGET', P .. 'active', A.owner) or '0') >= A.max_active then return 'QUOTA_EXCEEDED' end
  local too_often = rate_refusal()
  if too_often then return too_often end
  local unsent = tonumber(redis.call('HGET', P .. 'webhook_counts', A.owner) or '0')
  if A.webhook_lane ~= '' and unsent >= A.max_webhooks then return 'WEBHOOKS_FULL' end
  local promised = (redis.call('ZCARD', P .. 'deadlines') + 1) * A.reserve
  if tonumber(redis.call('GET', P .. 'bytes') or '0') + A.size + promised > A.max_bytes then return 'STORAGE_FULL' end
  local memory = redis.call('INFO', 'memory')
  local limit = tonumber(string.match(memory, 'maxmemory:(%d+)'))
  local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
  if limit > 0 and used + missing + promised > limit * 0.95 then return 'STORAGE_FULL' end
  return nil
end

-- The job that this request id made: {'EXISTING', record} or {'CONFLICT'}; nil when it made none.
-- A wish differs from that of before when a default of the service was changed meanwhile, and jobs of an older service
-- have none: then equal settings are the same request.
local function earlier()
  if A.request_id == '' then return nil end
  local id = redis.call('GET', P .. 'request:' .. A.owner .. ':' .. A.request_id)
  if not id or not get(id, 'state') then return nil end
  if get(id, 'wish') ~= A.wish and get(id, 'fingerprint') ~= A.fingerprint then return {'CONFLICT'} end
  return {'EXISTING', record(id)}
end
