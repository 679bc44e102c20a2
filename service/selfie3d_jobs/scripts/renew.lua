-- The worker still holds the job. -> 1, or 0 when it does not any more. A: id, attempt, lease (ms)
even_when_full()
if get(A.id, 'state') ~= 'RUNNING' or number(A.id, 'attempt') ~= A.attempt then return 0 end
redis.call('ZADD', P .. 'leases', now + A.lease, A.id)
return 1
