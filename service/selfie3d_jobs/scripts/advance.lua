-- The worker begins a stage. -> 'OK', or what became of the job. Safe to repeat; renews the lease.
-- A: id, attempt, stage, progress, lease (ms)
even_when_full()
local id = A.id
local state = get(id, 'state')
if state ~= 'RUNNING' then return state or 'GONE' end
if number(id, 'attempt') ~= A.attempt then return 'LOST' end
if is_late(id) then return 'EXPIRED' end
redis.call('ZADD', P .. 'leases', now + A.lease, id)
if get(id, 'stage') ~= A.stage then
  local progress = tostring(math.max(A.progress, number(id, 'progress')))
  set(id, 'stage', A.stage, 'progress', progress)
  event(id, 'RUNNING', A.stage, A.attempt, progress)
end
return 'OK'
