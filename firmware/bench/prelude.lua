-- prelude.lua: the function blocks of docs/script.md as Lua would have them: one closure for each
-- occurrence, which keeps its own state. Times are milliseconds, numbers are whole thousandths, as in the
-- script language, so that no floating point is reached. `now` is set before each scan, `week_s`,
-- the seconds since Monday began, whenever they change. A chunk defines `scan`, which is given the inputs and,
-- in the scan of a call, the command's number from 0 and its argument.
now, week_s = 0, 0
events, commands = 0, 0

function rise()
  local last = true
  return function(a)
    local rose = a and not last
    last = a
    return rose
  end
end

function fall()
  local last = false
  return function(a)
    local fell = last and not a
    last = a
    return fell
  end
end

function toggle()
  local rose, state = rise(), false
  return function(a)
    if rose(a) then state = not state end
    return state
  end
end

function ton()
  local since
  return function(a, t)
    if not a then since = nil return false end
    if not since then since = now end
    return now - since >= t
  end
end

function tof()
  local since, on = nil, false
  return function(a, t)
    if a then on, since = true, nil
    elseif on then
      if not since then since = now end
      if now - since >= t then on = false end
    end
    return on
  end
end

function tp()
  local rose, on, since = rise(), false, 0
  return function(a, t)
    if on and now - since >= t then on = false end
    if rose(a) and not on and t > 0 then on = true since = now end
    return on
  end
end

-- In step, unless a phase was missed.
function blink()
  local since, on
  return function(a, on_ms, off_ms)
    if not a then since = nil return false end
    if not since then since, on = now, true return true end
    local late = now - since - (on and on_ms or off_ms)
    if late >= 0 then
      on = not on
      since = late < (on and on_ms or off_ms) and now - late or now
    end
    return on
  end
end

function hysteresis()
  local state = false
  return function(x, on, off)
    if on >= off then
      if x >= on then state = true elseif x <= off then state = false end
    elseif x <= on then state = true elseif x >= off then state = false end
    return state
  end
end

-- A low-pass of first order, in steps of a 64th; a scan that is longer than a minute counts as one.
function filter()
  local y, last
  return function(x, time_ms)
    if not y then
      y = x * 64
    else
      local step, far = now - last, x * 64 - y
      if step > 60000 then step = 60000 end
      local all = time_ms + step
      if step > 10000 then step, all = step // 8, all // 8 end  -- the product below must fit 32 bits
      y = y + far // all * step + far % all * step // all
    end
    last = now
    return y // 64
  end
end

function sr()
  local state = false
  return function(set, reset)
    state = set or state and not reset
    return state
  end
end

-- Windows are { days, from, to }: whether each day has one, Monday first, and seconds after midnight.
function during(windows)
  local looked, on
  return function()
    if week_s ~= looked then
      looked, on = week_s, false
      local day, second = week_s // 86400 + 1, week_s % 86400
      for i = 1, #windows do
        local w = windows[i]
        if w[1][day] and second >= w[2] and second < w[3] then on = true end
      end
    end
    return on
  end
end

-- Of so many outputs one at most is on, and none comes on until the others have been off for the gap.
function interlock(outputs, gap_ms)
  local on, changed = {}, {}
  for i = 1, outputs do on[i], changed[i] = false, now end
  return function(i, wanted)
    if wanted == on[i] then return wanted end
    if wanted then
      for j = 1, outputs do
        if j ~= i and (on[j] or now - changed[j] < gap_ms) then return false end
      end
    end
    on[i], changed[i] = wanted, now
    return wanted
  end
end

function runtime()
  local rest, last = 0, 0
  return function(a, seconds)
    if a then
      rest = rest + now - last
      seconds = seconds + rest // 1000
      rest = rest % 1000
    end
    last = now
    return seconds
  end
end

function debounce(time_ms)
  local level, since
  return function(raw)
    if level == nil then level = raw end
    if raw == level then since = nil return level end
    if not since then since = now end
    if now - since >= time_ms then level = raw since = nil end
    return level
  end
end

function alarm()
  local raised = false
  return function(a, clear)
    raised = a or raised and not clear
    return raised
  end
end

function confirm(within_ms)
  local last, since, fault = nil, nil, false
  return function(output, feedback)
    if output ~= last then last = output since = now
    elseif output == feedback then since = nil fault = false
    elseif not since then since = now
    elseif now - since >= within_ms then fault = true end
    return fault
  end
end
