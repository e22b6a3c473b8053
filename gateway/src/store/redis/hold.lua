-- Makes sessions those of a node for a term; a later session fences an earlier one.
-- KEYS: leases. ARGV: the node, the term in milliseconds, a session for each key.
-- Gives the number of each key that is held by a later one, followed by what it holds.
local refused = {}
local failure
for i, key in ipairs(KEYS) do
  local wanted = ARGV[i + 2] .. ' ' .. ARGV[1]
  local kept = redis.call('GET', key)
  if kept == wanted then
    -- Unlike SET this may be done also when memory is full.
    redis.call('PEXPIRE', key, ARGV[2])
  else
    local session, node = string.match(kept or '', '^(%d+) (%x+)$')
    local has, wants = tonumber(session), tonumber(ARGV[i + 2])
    if has and (has > wants or (has == wants and node ~= ARGV[1])) then
      refused[#refused + 1] = i
      refused[#refused + 1] = kept
    else
      -- Full memory must not keep the leases that come after this one from going on.
      local done = redis.pcall('SET', key, wanted, 'PX', ARGV[2])
      if type(done) == 'table' and done.err then
        failure = failure or done
      end
    end
  end
end
if failure then
  return failure
end
return refused
