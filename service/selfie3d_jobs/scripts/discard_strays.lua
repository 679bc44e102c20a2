-- Objects that lie in the bucket: those that are no job's and not on their way become garbage. -> how many. A: names
even_when_full()
local KINDS = {photo = true, mesh = true, preview = true}
local function is_wanted(name)
  local kind, id, rest = string.match(name, '^(%a+)/(%x+)/?(.*)$')
  if not KINDS[kind or ''] then return true end  -- none of ours
  if redis.call('ZSCORE', P .. 'uploads', name) or redis.call('ZSCORE', P .. 'garbage', name) then return true end
  if not is_outside(id) then return false end
  if kind == 'photo' then return is_active(get(id, 'state')) end
  return get(id, 'state') == 'SUCCEEDED' and string.match(rest, '^(%d+)/') == get(id, 'attempt')
end

local strays = 0
for _, name in ipairs(A.names) do
  if not is_wanted(name) then
    discard(name)
    strays = strays + 1
  end
end
return strays
