-- The worker still holds the job. -> 1, or 0 when it does not any more. ARGV: id, attempt, lease ms
even_when_full()
if get(ARGV[1], 'state') ~= 'RUNNING' or number(ARGV[1], 'attempt') ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', P .. 'leases', now + tonumber(ARGV[3]), ARGV[1])
return 1
