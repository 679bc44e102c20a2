-- Events after a number, oldest first. ARGV: id, after
return redis.call('XRANGE', P .. 'events:' .. ARGV[1], '(' .. ARGV[2] .. '-0', '+')
