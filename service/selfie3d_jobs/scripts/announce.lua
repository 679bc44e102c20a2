-- Objects are about to be put that are no job's yet. -> 'OK', or what became of the job. Safe to repeat.
-- A: names, grace (ms until they count as left over), id and attempt ('' and 0 for none) of whose files they are
even_when_full()
if A.id ~= '' then
  local state = get(A.id, 'state')
  if state ~= 'RUNNING' then return state or 'GONE' end
  if number(A.id, 'attempt') ~= A.attempt then return 'LOST' end
end
for _, name in ipairs(A.names) do redis.call('ZADD', P .. 'uploads', now + A.grace, name) end
return 'OK'
