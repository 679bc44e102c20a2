-- The worker begins a stage. -> 'OK', or what became of the job. Safe to repeat; renews the lease.
-- ARGV: id, attempt, stage, progress, lease ms
even_when_full()
local id, attempt, stage = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local state = get(id, 'state')
if state ~= 'RUNNING' then return state or 'GONE' end
if number(id, 'attempt') ~= attempt then return 'LOST' end
if is_late(id) then return 'EXPIRED' end
redis.call('ZADD', P .. 'leases', now + tonumber(ARGV[5]), id)
if get(id, 'stage') ~= stage then
  local progress = math.max(tonumber(ARGV[4]), number(id, 'progress'))
  set(id, 'stage', stage, 'progress', tostring(progress))
  event(id, 'RUNNING', stage, attempt, tostring(progress))
end
return 'OK'
