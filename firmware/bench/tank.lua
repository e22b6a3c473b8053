-- tank.lua: as firmware/examples/tank.script.
local flow_of, follow, dry_of, fill = debounce(200), confirm(20000), sr(), hysteresis()
local counted, ends, dry_run, broken, broken_for, service = runtime(), fall(), alarm(), alarm(), ton(), alarm()
local fill_to, fill_from = 90000, 40000
local level, hours_s, fault = 0, 0, false
commands = 1

function scan(di1, di2, di3, di4, ai0, call)
  local scaled = (ai0 - 186000) * 100 // 744
  local bad = scaled < -5000 or scaled > 105000
  if not bad then level = scaled end
  local flow = flow_of(di1)
  local reset = call and not (fault and flow)
  local dry = dry_of(fault, reset)
  local wanted = fill(level, fill_from, fill_to)
  local pump = wanted and not bad and not dry
  hours_s = counted(pump, hours_s)
  if ends(pump) and not dry then events = events + 1 end
  local a = dry_run(dry, true)
  local b = broken(broken_for(bad, 30000), true)
  local c = service(hours_s > 7200000, true)
  fault = follow(pump, flow)
  return pump, a or b or c
end
