-- staircase.lua: as firmware/examples/staircase.script.
local up_of, down_of, cleaner_of = debounce(30), debounce(30), debounce(50)
local lasts, shines, winks = tof(), tof(), blink()
local stay, warn = 180000, 10000

function scan(di1, di2, di3)
  local up, down, cleaner = up_of(di1), down_of(di2), cleaner_of(di3)
  local pressed = up or down or cleaner
  local lasting, bright = lasts(pressed, stay), shines(pressed, stay - warn)
  local wink = winks(lasting and not bright, 4600, 400)
  return bright or lasting and wink, false
end
