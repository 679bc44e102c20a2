-- A worker child says that it lives. ARGV: name, report (JSON)
even_when_full()
note_life()
redis.call('HSET', P .. 'workers', ARGV[1], ARGV[2])
redis.call('ZADD', P .. 'seen', now, ARGV[1])
return 'OK'
