-- The worker ends its attempt: meshes, final state and event in one step. -> 'OK', or what became of the job.
-- Safe to repeat. A: id, attempt, state, files (how many), code, reason, message, seconds (by stage), batches (runs of
-- networks by the runs in their batch; an older worker does not say), batch_wait (s).
-- ARGV[2]: outcome; then the mesh files, unless they were sent ahead (A.ahead: the size of each; NOT_AHEAD: one of them is not
-- there), then a picture of each head. Of a job whose blobs lie outside Redis these are
-- objects already, which were announced: A.names (in the same order), extension, size (bytes of all). LATE: so long ago
-- that they are garbage.
even_when_full()
local id, state = A.id, get(A.id, 'state')
local function refuse(answer)
  for _, name in ipairs(A.names) do discard(name) end
  return answer
end
if not state then return refuse('GONE') end
if number(id, 'attempt') ~= A.attempt then return refuse('LOST') end
if state == A.state then return 'OK' end
if state ~= 'RUNNING' then return refuse(state) end
if is_late(id) then return refuse('EXPIRED') end
for n, size in ipairs(A.ahead) do
  if redis.call('STRLEN', ahead(id, A.attempt, n - 1)) ~= size then return 'NOT_AHEAD' end
end
if not keep(A.names) then return refuse('LATE') end

settle_expiry(id)
local stored, expiry = A.size, get(id, 'expire_time')
for n, size in ipairs(A.ahead) do
  local key = P .. 'mesh:' .. id .. ':' .. n - 1
  redis.call('RENAME', ahead(id, A.attempt, n - 1), key)
  redis.call('PEXPIREAT', key, expiry)
  stored = stored + size
end
for i = 3, #ARGV do
  local n = i - 3 + #A.ahead
  local key = n < A.files and 'mesh:' .. id .. ':' .. n or 'preview:' .. id .. ':' .. (n - A.files)
  redis.call('SET', P .. key, ARGV[i], 'PXAT', expiry)
  stored = stored + #ARGV[i]
end
local previews = #ARGV - 2 + #A.names + #A.ahead - A.files
set(id, 'files', A.files, 'previews', previews, 'mesh_bytes', stored)
if not is_outside(id) then set(id, 'outcome', ARGV[2]) end
if #A.names > 0 then set(id, 'extension', A.extension) end
count_bytes(is_outside(id), stored)
for stage, seconds in pairs(A.seconds) do observe('stage:' .. stage, seconds) end
for size, runs in pairs(A.batches or {}) do count('batch:' .. size, runs) end
if (A.batch_wait or 0) > 0 then redis.call('HINCRBYFLOAT', P .. 'counters', 'batch_wait', A.batch_wait) end
finish(id, A.state, A.code, A.reason, A.message, is_outside(id) and ARGV[2] or nil)
return 'OK'
