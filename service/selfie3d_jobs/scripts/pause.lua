-- Let no worker take a job of a queue until it is resumed. -> how the queue stands. Safe to repeat: the first pause counts.
-- A: queue, by
even_when_full()
redis.call('HSETNX', P .. 'paused', A.queue, now .. ' ' .. A.by)
redis.call('UNLINK', P .. A.queue)
return queue_state(A.queue)
