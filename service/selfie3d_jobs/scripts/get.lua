-- The record, or an empty list. A: id
return record(A.id)
