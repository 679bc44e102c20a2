-- Who works: {report, the record of the job that runs there or nothing; ...} of workers heard of within A.alive ms.
local jobs = {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do jobs[get(id, 'worker') or ''] = id end
local workers = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'seen', now - A.alive, '+inf')) do
  workers[#workers + 1] = redis.call('HGET', P .. 'workers', name)
  workers[#workers + 1] = jobs[name] and record(jobs[name]) or {}
end
return workers
