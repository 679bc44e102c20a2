-- The record, or an empty list. ARGV: id
return record(ARGV[1])
