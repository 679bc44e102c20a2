-- Let workers take the jobs of a queue again. -> {how the queue stands; jobs to publish, as reap.lua}
-- Safe to repeat. The jobs beyond LIMIT, or those of a service that dies before it publishes them, are the reaper's.
-- A: queue
even_when_full()
local LIMIT = 1000
local publish = {}
if redis.call('HDEL', P .. 'paused', A.queue) == 1 then
  publish_again(A.queue, redis.call('ZRANGE', P .. 'queued:' .. A.queue, 0, LIMIT - 1), publish)
end
return {queue_state(A.queue), publish}
