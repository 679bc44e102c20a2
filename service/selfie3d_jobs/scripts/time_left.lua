-- ms for which a job is kept, as a string; '0' when it is not any more. A: id
return tostring(math.max(0, number(A.id, 'expire_time') - now))
