-- {state, or '' when there is no such job; events after a number, oldest first}. A: id, after
local entries = redis.call('XRANGE', P .. 'events:' .. A.id, '(' .. A.after .. '-0', '+')
local ended = #entries == 0 and is_outside(A.id) and read_ended(A.id)
local STATES = {Q = 'QUEUED', R = 'RUNNING', S = 'SUCCEEDED', F = 'FAILED', C = 'CANCELLED', E = 'EXPIRED'}
local time = 0
for i, event in ipairs(ended and ended.events or {}) do
  local passed, state, stage, attempt, progress = string.match(event, '^(%S*) (%S*) (%S*) (%S*) (%S*)$')
  local number = ended.first + i - 1
  time = time + passed
  if number > A.after then
    local fields = {'time', string.format('%d', time), 'state', STATES[state], 'stage', stage, 'attempt', attempt,
      'progress', progress}
    entries[#entries + 1] = {number .. '-0', fields}
  end
end
return {get(A.id, 'state') or '', entries}
