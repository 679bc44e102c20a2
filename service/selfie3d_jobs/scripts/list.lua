-- An owner's jobs, newest first. -> {serial to go on below, or '' at the end; records}
-- ARGV: owner, below (serial, or 'inf'), size, then the wanted states (none: all)
local key, size, wanted = P .. 'owner:' .. ARGV[1], tonumber(ARGV[3]), {}
for i = 4, #ARGV do wanted[ARGV[i]] = true end
local SCAN = 2000  -- entries looked at in one call, so that a rare state cannot hold Redis up
local page = redis.call('ZREVRANGEBYSCORE', key, '(' .. ARGV[2], '-inf', 'WITHSCORES', 'LIMIT', 0, SCAN)
local records = {}
for i = 1, #page, 2 do
  local state = get(page[i], 'state')
  if state and (#ARGV < 4 or wanted[state]) then records[#records + 1] = record(page[i]) end
  if #records == size then
    if i + 2 > #page and #page < 2 * SCAN then return {'', records} end
    return {page[i + 1], records}
  end
end
if #page == 2 * SCAN then return {page[#page], records} end
return {'', records}
