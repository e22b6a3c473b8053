-- Keeps what is known of one controller, unless something later is known.
-- KEYS: its status, the index of controllers.
-- ARGV: order, whether it is there, since when, its address, the frame (or nothing, which leaves the one there is).
-- Gives the order of what is later.
local kept = tonumber(redis.call('HGET', KEYS[1], 'order') or '')
local order = tonumber(ARGV[1])
if kept and kept > order then
  return string.format('%.0f', kept)
end
if kept ~= order then
  redis.call('HSET', KEYS[1], 'order', ARGV[1], 'online', ARGV[2], 'since', ARGV[3])
  if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[1], 'frame', ARGV[5])
  end
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[4])
end
return false
