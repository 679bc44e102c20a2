-- End a job that has not ended. -> the record; empty when there is none. A: id, owner ('' for any)
even_when_full()
local id, owner = A.id, get(A.id, 'owner')
if not owner or (A.owner ~= '' and owner ~= A.owner) then return {} end
if is_active(get(id, 'state')) then finish(id, 'CANCELLED', 0, '', '') end
return record(id)
