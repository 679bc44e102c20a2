-- End a job that has not ended. -> the record; empty when there is none. ARGV: id, owner ('' for any)
even_when_full()
local id, owner = ARGV[1], get(ARGV[1], 'owner')
if not owner or (ARGV[2] ~= '' and owner ~= ARGV[2]) then return {} end
if is_active(get(id, 'state')) then finish(id, 'CANCELLED', 0, '', '') end
return record(id)
