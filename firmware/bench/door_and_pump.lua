-- door_and_pump.lua: as firmware/examples/door_and_pump.script.
local door_of, full, flip, pulse, follow = debounce(30), hysteresis(), toggle(), tp(), tof()
local begins, high, high_for = rise(), alarm(), ton()
local followed = confirm(2000)
local work = during({{{true, true, true, true, true}, 25200, 70200}})
local runs, delay, boost_t, level = 0, 30000, 1000, 0
commands = 1

function scan(di1, di2, di3, di4, ai0, call, t)
  local door, run = door_of(di1), di2
  local scaled = ai0 * 100 // 1023
  if scaled >= 5000 then level = scaled end
  local boost = call and level >= 5000
  if boost then boost_t = t < 1000 and 1000 or t end
  local by_level, by_door, by_call = full(level, 80000, 20000), flip(door), pulse(boost, boost_t)
  local pump = by_level or by_door or by_call
  local fan = follow(pump, delay)
  local lamp = work()
  if begins(pump) then runs = runs + 1 events = events + 1 end
  local flood = high(high_for(level > 80000, 10000), level < 70000)
  followed(pump, run)
  return pump, fan, lamp, false, flood
end
