-- Remove an ended job. -> 'OK' | 'NOT_FOUND' | 'NOT_ENDED'. ARGV: id, owner ('' for any)
even_when_full()
local id, owner = ARGV[1], get(ARGV[1], 'owner')
if not owner or (ARGV[2] ~= '' and owner ~= ARGV[2]) then return 'NOT_FOUND' end
if is_active(get(id, 'state')) then return 'NOT_ENDED' end
purge(id)
return 'OK'
