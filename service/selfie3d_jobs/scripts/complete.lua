-- The worker ends its attempt: meshes, final state and event in one step. -> 'OK', or what became of the job.
-- Safe to repeat. ARGV: id, attempt, state, code, reason, message, stage seconds (JSON object), outcome, mesh files...
even_when_full()
local id, attempt, state = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local current = get(id, 'state')
if not current then return 'GONE' end
if number(id, 'attempt') ~= attempt then return 'LOST' end
if current == state then return 'OK' end
if current ~= 'RUNNING' then return current end
if is_late(id) then return 'EXPIRED' end

local stored, expiry = 0, get(id, 'expire_time')
for i = 9, #ARGV do
  redis.call('SET', P .. 'mesh:' .. id .. ':' .. (i - 9), ARGV[i], 'PXAT', expiry)
  stored = stored + #ARGV[i]
end
set(id, 'outcome', ARGV[8], 'files', #ARGV - 8, 'mesh_bytes', stored)
if stored > 0 then redis.call('INCRBY', P .. 'bytes', stored) end
for stage, seconds in pairs(cjson.decode(ARGV[7])) do observe('stage:' .. stage, seconds) end
finish(id, state, ARGV[4], ARGV[5], ARGV[6])
return 'OK'
