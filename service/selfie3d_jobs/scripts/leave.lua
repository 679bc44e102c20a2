-- A worker child ends on purpose. ARGV: name
redis.call('HDEL', P .. 'workers', ARGV[1])
redis.call('ZREM', P .. 'seen', ARGV[1])
return 'OK'
