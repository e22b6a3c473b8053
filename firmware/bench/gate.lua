-- gate.lua: as firmware/examples/gate.script.
local opened_of, closed_of, button_of, barrier_of = debounce(20), debounce(20), debounce(30), debounce(20)
local pressed, moving, opening_begins, closing_begins, moves = rise(), blink(), rise(), rise(), rise()
local stuck, stuck_for, only_one = alarm(), ton(), interlock(2, 500)
local stay, most = 30000, 25000
local STILL, OPENING, WIDE, CLOSING = 0, 1, 2, 3
local gate, since = STILL, 0
commands = 1

function scan(di1, di2, di3, di4, ai0, call)
  local opened, closed = opened_of(di1), closed_of(di2)
  local press, barrier = pressed(button_of(di3)), barrier_of(di4)
  local age, to = now - since, gate
  if gate == STILL then
    if press or call then to = OPENING end
  elseif gate == OPENING then
    if opened then to = WIDE elseif press or age >= most then to = STILL end
  elseif gate == WIDE then
    if press or stay > 0 and age >= stay and not barrier then to = CLOSING end
  else
    if barrier or call then to = OPENING
    elseif closed or press or age >= most then to = STILL end
  end
  if to ~= gate then gate, since = to, now end
  local opening, closing = gate == OPENING, gate == CLOSING
  local opener = only_one(1, opening and not opened)
  local closer = only_one(2, closing and not closed and not barrier)
  local lamp = moving(opening or closing, 500, 500)
  local opens, closes = opening_begins(opening), closing_begins(closing)
  if moves(opens or closes) then events = events + 1 end
  local a = stuck(stuck_for(gate == STILL and not opened and not closed, 60000), true)
  return opener, closer, lamp, a
end
