-- Adds samples of one point, those alone that are later than all there are.
-- KEYS: its stream. ARGV: how many are kept, the first millisecond that is kept, how many milliseconds all of it
-- lives without news; then millisecond, step, value and flags of each sample.
local top_time, top_step = -1, -1
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last then
  local time, step = string.match(last[1], '^(%d+)-(%d+)$')
  top_time, top_step = tonumber(time), tonumber(step)
end
for i = 4, #ARGV, 4 do
  local time, step = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if time > top_time or (time == top_time and step > top_step) then
    local id = ARGV[i] .. '-' .. ARGV[i + 1]
    redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], id, 'v', ARGV[i + 2], 'f', ARGV[i + 3])
    top_time, top_step = time, step
  end
end
redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return false
