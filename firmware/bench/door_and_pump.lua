-- door_and_pump.lua: as firmware/examples/door_and_pump.script. The lamp's working hours are looked up once
-- a second by the host.
local door_of, full, flip, pulse, follow = debounce(30), hysteresis(), toggle(), tp(), tof()
local begins, started, high, high_for = rise(), event(), alarm(), ton()
local followed = confirm(2000)
local runs, delay, boost, boost_t, level = 0, 30000, false, 1000, 0
local events, alarms = 0, false
fault, bad = false, false

function scan(di1, di2, di3, di4, ai0)
  local door, run = door_of(di1), di2
  local scaled = ai0 * 100 // 1023
  bad = scaled < 5000
  if not bad then level = scaled end
  local taken = boost and not (level < 5000)
  boost = false
  local by_level, by_door, by_call = full(level, 80000, 20000), flip(door), pulse(taken, boost_t)
  local pump = by_level or by_door or by_call
  local fan = follow(pump, delay)
  local lamp = working_hours
  if begins(pump) then runs = runs + 1 end
  if started(pump) then events = events + 1 end
  alarms = high(high_for(level > 80000, 10000), level < 70000)
  fault = followed(pump, run)
  return pump, fan, lamp
end
