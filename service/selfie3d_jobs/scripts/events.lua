-- {state, or '' when there is no such job; events after a number, oldest first}. A: id, after
return {get(A.id, 'state') or '', redis.call('XRANGE', P .. 'events:' .. A.id, '(' .. A.after .. '-0', '+')}
