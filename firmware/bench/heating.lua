-- heating.lua: as firmware/examples/heating.script.
local window_of = debounce(2000)
local there = during({{{true, true, true, true, true}, 23400, 61200},
                      {{false, false, false, false, false, true}, 25200, 43200}})
local requested, smooth, calls_of, burner_for, burner_on, pump_of = tp(), filter(), hysteresis(), ton(), tp(), tof()
local frost, frost_for, broken, broken_for = alarm(), ton(), alarm(), ton()
local day, night = 20000, 14000
local warmth, warm_up_t, burner = 0, 600000, false
commands = 1

function scan(di1, di2, di3, di4, ai0, call, t)
  local scaled = ai0 * 2 // 25 - 20000
  local bad = scaled < -19000 or scaled > 59000
  if not bad then warmth = scaled end
  local window = window_of(di1)
  if call then warm_up_t = t < 600000 and 600000 or t end
  local by_clock, by_call = there(), requested(call ~= nil, warm_up_t)
  local goal = night
  if warmth < 5000 then goal = 8000
  elseif (by_clock or by_call) and not window then goal = day end
  local calls = calls_of(smooth(warmth, 30000), goal - 500, goal + 500) and not bad
  local long, still = burner_for(calls, 180000), burner_on(burner, 300000)
  burner = long or still and not bad
  local pump = pump_of(burner, 600000)
  local a = frost(frost_for(warmth < 4000, 300000), warmth > 6000)
  local b = broken(broken_for(bad, 60000), true)
  return burner, pump, a or b
end
