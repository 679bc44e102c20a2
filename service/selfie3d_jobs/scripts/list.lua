-- Jobs that meet the filter, newest first. -> {serial to go on below, or '' at the end; records}
-- A: below (serial, or 'inf'; a string), size, owner ('' for all), states (none: all), request_id ('' for any),
-- created_after, created_before (ms, or null)
local wanted = {}
for _, state in ipairs(A.states) do wanted[state] = true end
local function meets(id, state)
  if not state or (#A.states > 0 and not wanted[state]) then return false end
  if A.request_id ~= '' and get(id, 'request_id') ~= A.request_id then return false end
  local created = number(id, 'create_time')
  if A.created_after ~= cjson.null and created < A.created_after then return false end
  return A.created_before == cjson.null or created < A.created_before
end

local SCAN = 2000  -- entries looked at in one call, so that a rare state cannot hold Redis up
local index = P .. (A.owner == '' and 'jobs' or 'owner:' .. A.owner)
local page = redis.call('ZREVRANGEBYSCORE', index, '(' .. A.below, '-inf', 'WITHSCORES', 'LIMIT', 0, SCAN)
local records = {}
for i = 1, #page, 2 do
  if meets(page[i], get(page[i], 'state')) then records[#records + 1] = record(page[i]) end
  if #records == A.size then
    if i + 2 > #page and #page < 2 * SCAN then return {'', records} end
    return {page[i + 1], records}
  end
end
if #page == 2 * SCAN then return {page[#page], records} end
return {'', records}
