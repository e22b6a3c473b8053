-- Ends the leases that a node has.
-- KEYS: leases. ARGV: the node.
-- Gives the number of each key that somebody else has, followed by what it holds.
local others = {}
for i, key in ipairs(KEYS) do
  local kept = redis.call('GET', key)
  if kept then
    if string.match(kept, '^%d+ (%x+)$') == ARGV[1] then
      redis.call('DEL', key)
    else
      others[#others + 1] = i
      others[#others + 1] = kept
    end
  end
end
return others
