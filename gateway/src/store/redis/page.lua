-- Reads what is known of the controllers above an address, with what their leases say at the same moment.
-- KEYS: the index of controllers. ARGV: the address, how many, the prefix of all keys.
local page = {}
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
for _, controller in ipairs(found) do
  local status = ARGV[3] .. 'status:' .. controller
  local kept = redis.call('HMGET', status, 'order', 'online', 'since', 'frame')
  local held = redis.call('EXISTS', ARGV[3] .. 'lease:' .. controller)
  page[#page + 1] = { controller, kept[1] or '0', kept[2] or '0', held, kept[3] or '0', kept[4] or '' }
end
return page
