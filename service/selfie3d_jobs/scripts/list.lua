-- An owner's jobs, newest first. -> {serial to go on below, or '' at the end; records}
-- A: owner, below (serial, or 'inf'; a string), size, states (none: all)
local wanted = {}
for _, state in ipairs(A.states) do wanted[state] = true end
local SCAN = 2000  -- entries looked at in one call, so that a rare state cannot hold Redis up
local page = redis.call('ZREVRANGEBYSCORE', P .. 'owner:' .. A.owner, '(' .. A.below, '-inf', 'WITHSCORES', 'LIMIT', 0, SCAN)
local records = {}
for i = 1, #page, 2 do
  local state = get(page[i], 'state')
  if state and (#A.states == 0 or wanted[state]) then records[#records + 1] = record(page[i]) end
  if #records == A.size then
    if i + 2 > #page and #page < 2 * SCAN then return {'', records} end
    return {page[i + 1], records}
  end
end
if #page == 2 * SCAN then return {page[#page], records} end
return {'', records}
