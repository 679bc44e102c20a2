-- The worker cannot get at the job's photo or leave its result: another attempt, later, and no loss of a worker.
-- -> 'OK', or what became of the job. Safe to repeat. A: id, attempt
even_when_full()
local state = get(A.id, 'state')
if state ~= 'RUNNING' then return state or 'GONE' end
if number(A.id, 'attempt') ~= A.attempt then return 'LOST' end
if is_late(A.id) then return 'EXPIRED' end
requeue(A.id)
count('requeued:blobs')
return 'OK'
