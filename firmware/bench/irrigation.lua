-- irrigation.lua: as firmware/examples/irrigation.script.
local rain_of, empty_of = debounce(5000), debounce(2000)
local early = during({{{true, false, true, false, false, true}, 18000, 21600}})
local begins, one_begins, rest_begins = rise(), rise(), rise()
local dry_tank, empty_for, only_one = alarm(), ton(), interlock(3, 2000)
local each, dry_below = 600000, 35000
local REST, ONE, TWO, THREE = 0, 1, 2, 3
local beds, since = REST, 0
commands = 1

function scan(di1, di2, di3, di4, ai0, call)
  local soil = 100000 - (ai0 - 300000) // 5
  local rain, empty = rain_of(di1), empty_of(di2)
  local water = call and not empty
  local due = begins(early()) and soil < dry_below and not rain or water
  local age, to = now - since, beds
  if beds == REST then
    if due and not empty then to = ONE end
  elseif empty or rain and not water then to = REST
  elseif age >= each then
    if beds == ONE then to = TWO elseif beds == TWO then to = THREE else to = REST end
  end
  if to ~= beds then beds, since = to, now end
  local first, second, third = only_one(1, beds == ONE), only_one(2, beds == TWO), only_one(3, beds == THREE)
  if one_begins(beds == ONE) then events = events + 1 end
  if rest_begins(beds == REST) then events = events + 1 end
  return first, second, third, dry_tank(empty_for(empty, 10000), true)
end
