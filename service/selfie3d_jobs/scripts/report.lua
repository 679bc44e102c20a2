-- A worker child says that it lives. A: name, report (JSON)
even_when_full()
note_life()
redis.call('HSET', P .. 'workers', A.name, A.report)
redis.call('ZADD', P .. 'seen', now, A.name)
return 'OK'
