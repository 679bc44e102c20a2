-- A worker child ends on purpose. A: name
redis.call('HDEL', P .. 'workers', A.name)
redis.call('ZREM', P .. 'seen', A.name)
return 'OK'
