-- Would this photo be taken? Asked before it is decoded.
-- -> {'EXISTING', record} | {'CONFLICT'} | {'REFUSED', reason} | {'OK'}
-- A: owner, request_id, fingerprint, wish, queue, size, max_queued, max_active, max_bytes, reserve,
--    webhook_lane ('' for none), max_webhooks, max_per_minute, max_per_day (0: no limit),
--    outside (the photo will not lie in Redis)
local found = earlier()
if found then return found end
local reason = refusal(A.outside and 0 or A.size)
if reason then return {'REFUSED', reason} end
return {'OK'}
