-- How a try to send a webhook went. -> 'DELIVERED' | 'LATER' | 'GIVEN_UP' | 'GONE'
-- Safe to repeat. A: id, attempt, delivered, hopeless (no further try can help), pause (ms until the next one)
even_when_full()
local LIFE = 24 * 3600 * 1000  -- ms after the job's end at which the last try is made
local key = P .. 'webhook:' .. A.id
local ended = redis.call('HGET', key, 'end_time')
if not ended then return 'GONE' end
if A.delivered then
  drop_webhook(A.id)
  count('webhooks:delivered')
  return 'DELIVERED'
end
if tonumber(redis.call('HGET', key, 'webhook_attempt')) ~= A.attempt then return 'LATER' end  -- it was due again meanwhile
local last = ended + LIFE
if A.hopeless or now >= last then
  drop_webhook(A.id)
  count('webhooks:given_up')
  return 'GIVEN_UP'
end
schedule_webhook(A.id, redis.call('HGET', key, 'webhook_lane'), math.min(now + A.pause, last))
return 'LATER'
