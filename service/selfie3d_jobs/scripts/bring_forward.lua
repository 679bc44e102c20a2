-- Let the job's message, which was just published, be the next one that is taken. -> 1, or 0 when it is taken already.
-- A: id, queue
local NEW = 100  -- messages looked at: others may have been published meanwhile
for _, message in ipairs(redis.call('LRANGE', P .. A.queue, 0, NEW - 1)) do
  if headers(message).id == A.id then
    redis.call('LREM', P .. A.queue, 1, message)
    redis.call('RPUSH', P .. A.queue, message)
    return 1
  end
end
return 0
