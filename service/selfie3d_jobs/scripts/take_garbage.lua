-- Objects to delete now. Who takes one has A.lease ms to delete it; then it is due again, for anybody. -> names
-- A: most (how many), lease (ms)
even_when_full()
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'uploads', '-inf', now, 'LIMIT', 0, A.most)) do discard(name) end
local names = redis.call('ZRANGEBYSCORE', P .. 'garbage', '-inf', now, 'LIMIT', 0, A.most)
for _, name in ipairs(names) do redis.call('ZADD', P .. 'garbage', now + A.lease, name) end
return names
