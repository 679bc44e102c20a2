-- Would this photo be taken? Asked before it is decoded.
-- -> {'EXISTING', record} | {'CONFLICT'} | {'REFUSED', reason} | {'OK'}
-- ARGV: owner, request_id, fingerprint, queue, size, max_queued, max_active, max_bytes, reserve
local found = earlier(ARGV[1], ARGV[2], ARGV[3])
if found then return found end
local size = tonumber(ARGV[5])
local reason = refusal(ARGV[1], ARGV[4], size, size, tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]),
  tonumber(ARGV[9]))
if reason then return {'REFUSED', reason} end
return {'OK'}
