-- Remove an ended job, and its webhook if it was not sent yet. -> 'OK' | 'NOT_FOUND' | 'NOT_ENDED'. A: id, owner ('' for any)
even_when_full()
local id, owner = A.id, get(A.id, 'owner')
if not owner or (A.owner ~= '' and owner ~= A.owner) then return 'NOT_FOUND' end
if is_active(get(id, 'state')) then return 'NOT_ENDED' end
drop_webhook(id)
purge(id)
return 'OK'
