-- A worker takes a delivered job. -> the record, with the photo if that is small; empty when the delivery is to be dropped, as
-- while its queue is paused.
-- Safe to repeat: the same token again gets the same attempt. A: id, worker, token, lease (ms)
even_when_full()
local MOST = 1048576 -- bytes of a photo that saves a worker the way for it; a larger one would only be copied here
local id = A.id

local function claimed()
  local fields, photo = record(id), P .. 'photo:' .. id
  local size = redis.call('STRLEN', photo)
  if size > 0 and size <= MOST then
    fields[#fields + 1] = 'photo'
    fields[#fields + 1] = redis.call('GET', photo)
  end
  return fields
end

local state = get(id, 'state')
if state == 'RUNNING' and get(id, 'token') == A.token then return claimed() end
if state ~= 'QUEUED' or is_late(id) then return {} end
local queue, attempt = get(id, 'queue'), number(id, 'attempt') + 1
if is_paused(queue) then return {} end

observe('queue', (now - number(id, 'queue_time')) / 1000)
count('attempts')
set(id, 'state', 'RUNNING', 'attempt', attempt, 'token', A.token, 'worker', A.worker, 'start_time', now, 'stage', '')
redis.call('ZREM', P .. 'queued:' .. queue, id)
redis.call('ZADD', P .. 'leases', now + A.lease, id)
event(id, 'RUNNING', '', attempt, get(id, 'progress'))
return claimed()
