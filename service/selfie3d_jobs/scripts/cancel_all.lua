-- End the jobs of an owner that have not ended, newest first, a bounded number of them.
-- -> {serial to go on below, or '' when there are no more; how many were ended; how many have not}
-- A: owner, below (serial, or 'inf'; a string), most (to end)
even_when_full()
local SCAN = 2000  -- entries looked at in one call
local function left() return tonumber(redis.call('HGET', P .. 'active', A.owner) or '0') end
local ended, below = 0, ''
if left() > 0 then
  local index = P .. 'owner:' .. A.owner
  local page = redis.call('ZREVRANGEBYSCORE', index, '(' .. A.below, '-inf', 'WITHSCORES', 'LIMIT', 0, SCAN)
  if #page == 2 * SCAN then below = page[#page] end
  for i = 1, #page, 2 do
    if ended == A.most then
      below = page[i - 1]
      break
    end
    if is_active(get(page[i], 'state')) then
      finish(page[i], 'CANCELLED', 0, '', '')
      ended = ended + 1
    end
  end
end
if ended > 0 then count('cancelled_by_operator', ended) end
return {below, ended, left()}
