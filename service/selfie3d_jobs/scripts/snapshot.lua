-- How it stands: {reports of workers heard of within A.alive ms; counters; {name, value...}}
local alive = redis.call('ZRANGEBYSCORE', P .. 'seen', now - A.alive, '+inf')
local reports = {}
for _, name in ipairs(alive) do reports[#reports + 1] = redis.call('HGET', P .. 'workers', name) end
local memory = redis.call('INFO', 'memory')
return {reports, redis.call('HGETALL', P .. 'counters'), {
  'queued:interactive', redis.call('ZCARD', P .. 'queued:interactive'),
  'queued:bulk', redis.call('ZCARD', P .. 'queued:bulk'),
  'running', redis.call('ZCARD', P .. 'leases'),
  'kept', redis.call('ZCARD', P .. 'expiry'),
  'bytes', redis.call('GET', P .. 'bytes') or '0',
  'used', string.match(memory, 'used_memory:(%d+)'),
  'limit', string.match(memory, 'maxmemory:(%d+)'),
}}
