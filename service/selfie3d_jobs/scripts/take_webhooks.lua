-- Webhooks to send now, oldest lane first. Who takes one has A.lease ms to settle it; then it is due again, for anybody.
-- No owner gets more than are left free for the others. -> records, each with its webhook_attempt
-- A: room (how many at most), lane_room (in one lane), lease (ms), lanes, owners ({name: how many the taker is sending now})
even_when_full()
local SCAN = 5000  -- lanes looked at in one call
local taken, room = {}, A.room

local function take(id, lane)
  local key = P .. 'webhook:' .. id
  redis.call('HINCRBY', key, 'webhook_attempt', 1)
  redis.call('ZADD', P .. 'webhook_lane:' .. lane, now + A.lease, id)
  taken[#taken + 1] = redis.call('HGETALL', key)
end

for _, lane in ipairs(redis.call('ZRANGEBYSCORE', P .. 'webhook_lanes', '-inf', now, 'LIMIT', 0, SCAN)) do
  if room <= 0 then break end
  local owner = string.match(lane, ' (.*)$')
  local most = math.max(0, A.lane_room - (A.lanes[lane] or 0))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'webhook_lane:' .. lane, '-inf', now, 'LIMIT', 0, most)) do
    local sending = A.owners[owner] or 0
    if sending >= room then break end
    take(id, lane)
    A.owners[owner] = sending + 1
    room = room - 1
  end
  refresh_lane(lane)
end
return taken
