-- two_pumps.lua: as firmware/examples/two_pumps.script.
local first_of, second_of, top_of = debounce(100), debounce(100), debounce(500)
local start_at, stop_at, help_at = 180000, 60000, 230000
local demand, more, top_for = hysteresis(), hysteresis(), tof()
local turn_of, help_for, second_for = toggle(), ton(), ton()
local horn_of, first_time, second_time = blink(), runtime(), runtime()
local pumped, over, overload, broken = rise(), alarm(), alarm(), alarm()
local over_for, overload_for, broken_for = ton(), ton(), ton()
local first_s, second_s, level = 0, 0, 0

function scan(di1, di2, di3, di4, ai0)
  local first_ok, second_ok, float_top = first_of(di1), second_of(di2), top_of(di3)
  local scaled = (ai0 - 186000) * 300 // 744
  local bad = scaled < -10000 or scaled > 310000
  if not bad then level = scaled end
  local by_level, by_float = demand(level, start_at, stop_at), top_for(float_top, 60000)
  local need = by_level and not bad or by_float
  local helping = more(level, help_at, stop_at)
  local both = need and (helping and not bad or float_top)
  local turn = turn_of(not need)
  local help = help_for(both, 5000)
  local late = second_for(need, 2000)
  local first = first_ok and (need and not turn or help or need and not second_ok)
  local second = second_ok and (need and turn or help or need and not first_ok) and late
  local horn = horn_of(need, 1000, 1000)
  horn = not first_ok and not second_ok and horn
  first_s, second_s = first_time(first, first_s), second_time(second, second_s)
  if pumped(not need) then events = events + 1 end
  local a = over(over_for(float_top, 10000), level < help_at)
  local b = overload(overload_for(not first_ok or not second_ok, 5000), true)
  local c = broken(broken_for(bad, 30000), true)
  return first, second, horn, a or b or c
end
