-- prelude.lua: the function blocks of docs/script.md as Lua would have them: one closure for each
-- occurrence, which keeps its own state. Times are milliseconds, numbers are whole thousandths, as in the
-- script language, so that no floating point is reached. `now` is set before each scan.
now = 0

function rise()
  local last = true
  return function(a)
    local rose = a and not last
    last = a
    return rose
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
  local since, on
  return function(a, t)
    if a then on = true since = now elseif on and now - since >= t then on = false end
    return on or false
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

function blink()
  local since, on
  return function(a, on_ms, off_ms)
    if not a then since = nil return false end
    if not since then since = now on = true
    elseif now - since >= (on and on_ms or off_ms) then since = now on = not on end
    return on
  end
end

function hysteresis()
  local state = false
  return function(x, on, off)
    if x >= on then state = true elseif x <= off then state = false end
    return state
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

function event()
  local rose = rise()
  return function(a) return rose(a) end
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
