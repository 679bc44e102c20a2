-- How it stands: {reports of workers heard of within A.alive ms; counters; {name, value...}; workers that run a job}
local alive = redis.call('ZRANGEBYSCORE', P .. 'seen', now - A.alive, '+inf')
local reports, busy = {}, {}
for _, name in ipairs(alive) do reports[#reports + 1] = redis.call('HGET', P .. 'workers', name) end
for _, id in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do busy[#busy + 1] = get(id, 'worker') or '' end
local memory = redis.call('INFO', 'memory')
local oldest = redis.call('ZRANGE', P .. 'webhooks', 0, 0, 'WITHSCORES')[2]
return {reports, redis.call('HGETALL', P .. 'counters'), {
  'queued:interactive', redis.call('ZCARD', P .. 'queued:interactive'),
  'queued:bulk', redis.call('ZCARD', P .. 'queued:bulk'),
  'paused:interactive', is_paused('interactive') and '1' or '0',
  'paused:bulk', is_paused('bulk') and '1' or '0',
  'running', redis.call('ZCARD', P .. 'leases'),
  'kept', redis.call('ZCARD', P .. 'expiry'),
  'bytes', redis.call('GET', P .. 'bytes') or '0',
  'outside_bytes', redis.call('GET', P .. 'outside_bytes') or '0',
  'uploads', redis.call('ZCARD', P .. 'uploads'),
  'garbage', redis.call('ZCARD', P .. 'garbage'),
  'webhooks', redis.call('ZCARD', P .. 'webhooks'),
  'webhook_age', oldest and now - oldest or 0,
  'used', string.match(memory, 'used_memory:(%d+)'),
  'limit', string.match(memory, 'maxmemory:(%d+)'),
}, busy}
