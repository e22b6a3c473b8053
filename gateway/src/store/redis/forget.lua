-- Forgets all there is of one controller.
-- KEYS: its status, its lease, the names of its points, the index of controllers. ARGV: its address, the prefix of all
-- keys.
for _, point in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  redis.call('UNLINK', ARGV[2] .. 'samples:' .. ARGV[1] .. ':' .. point)
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
return false
