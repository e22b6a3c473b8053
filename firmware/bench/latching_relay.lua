-- latching_relay.lua: as firmware/examples/latching_relay.script.
local button, rose = debounce(30), rise()
local lit, call = false, nil   -- the yard sets `call`

function scan(di1)
  if rose(button(di1)) then lit = not lit end
  if call ~= nil then lit = call call = nil end
  return lit
end
