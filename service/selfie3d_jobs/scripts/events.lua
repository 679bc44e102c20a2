-- {state, or '' when there is no such job; events after a number, oldest first}. ARGV: id, after
return {get(ARGV[1], 'state') or '', redis.call('XRANGE', P .. 'events:' .. ARGV[1], '(' .. ARGV[2] .. '-0', '+')}
