-- The worker gives the job back unharmed (it is going down). -> 'OK' | 'LOST'. ARGV: id, attempt
even_when_full()
if get(ARGV[1], 'state') ~= 'RUNNING' or number(ARGV[1], 'attempt') ~= tonumber(ARGV[2]) then return 'LOST' end
requeue(ARGV[1])
count('requeued:released')
return 'OK'
