-- intruder.lua: as firmware/examples/intruder.script.
local door_of, motion_of, tamper_of, key_of = debounce(50), debounce(50), debounce(50), debounce(100)
local turn, loud, seen, wink, leaving_beep, entering_beep = rise(), tp(), sr(), blink(), blink(), blink()
local arms, disarms, intruder, housing = rise(), rise(), alarm(), alarm()
local leave, enter, noise = 30000, 20000, 180000
local IDLE, LEAVING, ARMED, ENTERING, RINGING = 0, 1, 2, 3, 4
local ARM, DISARM = 0, 1
local guard, since = IDLE, 0
commands = 2

function scan(di1, di2, di3, di4, ai0, call)
  local door, motion, tamper, key = door_of(di1), motion_of(di2), tamper_of(di3), key_of(di4)
  local arm, disarm = call == ARM and not door, call == DISARM
  local turned = turn(key)
  local age, to = now - since, guard
  if guard == IDLE and (arm or turned) then to = LEAVING
  elseif guard == LEAVING and age >= leave and not door then to = ARMED
  elseif guard == ARMED and door then to = ENTERING
  elseif guard == ARMED and (motion or tamper) then to = RINGING
  elseif guard == ENTERING and (age >= enter or tamper) then to = RINGING
  elseif disarm or turned then to = IDLE end
  if to ~= guard then guard, since = to, now end
  local idle, ringing, entering = guard == IDLE, guard == RINGING, guard == ENTERING
  local siren = loud(ringing, noise) and not idle
  local lamp, on = seen(ringing, disarm or turned), wink(true, 500, 500)
  local slow, fast = leaving_beep(guard == LEAVING, 200, 800), entering_beep(entering, 100, 100)
  if arms(guard == ARMED) then events = events + 1 end
  if disarms(idle) then events = events + 1 end
  local a = intruder(ringing, idle)
  local b = housing(tamper and idle, true)
  return siren, lamp and on, slow or entering and fast, a or b
end
