-- Adds samples of one point, those alone that are later than all there are.
-- KEYS: its stream, the names of its controller's points. ARGV: its name, how many are kept, the first millisecond that
-- is kept, how many milliseconds all of it lives without news; then of each sample the millisecond, type, least,
-- greatest and last value, how many came, and whether it is known from then on.
local top = -1
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last then
  top = tonumber(string.match(last[1], '^(%d+)-'))
end
local has_added = false
for i = 5, #ARGV, 7 do
  local time = tonumber(ARGV[i])
  if time > top then
    redis.call('XADD', KEYS[1], 'MINID', '=', ARGV[3], ARGV[i] .. '-0', 't', ARGV[i + 1], 'n', ARGV[i + 2],
      'x', ARGV[i + 3], 'l', ARGV[i + 4], 'c', ARGV[i + 5], 'k', ARGV[i + 6])
    top = time
    has_added = true
  end
end
if redis.call('XLEN', KEYS[1]) > tonumber(ARGV[2]) then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', ARGV[2])
end
-- Where a clock was ahead, what it left goes by itself.
if has_added then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if not last and redis.call('SADD', KEYS[2], ARGV[1]) == 1 and redis.call('SCARD', KEYS[2]) > 64 then
  -- Two scripts' points: there are names among them that have gone long ago.
  local before = string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1])
  for _, point in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    if redis.call('EXISTS', before .. point) == 0 then
      redis.call('SREM', KEYS[2], point)
    end
  end
end
-- The names are there longer than any stream, and are not looked at more than they must be.
local age = tonumber(ARGV[4])
if redis.call('PTTL', KEYS[2]) < age then
  redis.call('PEXPIRE', KEYS[2], 2 * age)
end
return false
