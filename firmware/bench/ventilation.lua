-- ventilation.lua: as firmware/examples/ventilation.script.
local light_of, smooth, damp_of, boosted, light_for, after = debounce(50), filter(), hysteresis(), tp(), ton(), tof()
local counted, wants = runtime(), alarm()
local wet, after_light, filter_s = 65000, 300000, 3600000
local BOOST, FILTER_CHANGED = 0, 1
local moisture, used_s, boost_t = 0, 0, 60000
commands = 2

function scan(di1, di2, di3, di4, ai0, call, t)
  local light = light_of(di1)
  local scaled = ai0 // 10
  local bad = scaled > 99000
  if not bad then moisture = scaled end
  local boost, changed = call == BOOST, call == FILTER_CHANGED
  if boost then boost_t = t < 60000 and 60000 or t end
  local damp = smooth(moisture, 20000)
  local by_damp, by_call = damp_of(damp, wet, wet - 10000), boosted(boost, boost_t)
  local by_light = after(light_for(light, 60000), after_light)
  local fan = by_damp and not bad or by_call or by_light
  local counted_s = counted(fan, used_s)
  used_s = changed and 0 or counted_s
  return fan, wants(used_s > filter_s, changed)
end
