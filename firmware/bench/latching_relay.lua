-- latching_relay.lua: as firmware/examples/latching_relay.script.
local button, rose = debounce(30), rise()
local lit = false
commands = 1

function scan(di1, di2, di3, di4, ai0, call, on)
  if rose(button(di1)) then lit = not lit end
  if call then lit = on ~= 0 end
  return lit, false
end
