-- A MIDI file of what is in a session, with tempo map and markers of a take, for `regenerate` to go on from.

local smf = {}

local function number(value)
  local found = string.char(value & 0x7F)
  value = value >> 7
  while value > 0 do
    found = string.char(value & 0x7F | 0x80) .. found
    value = value >> 7
  end
  return found
end

local function meta(kind, values)
  return string.char(0xFF, kind) .. number(#values) .. values
end

local function in_order(events)
  for index, event in ipairs(events) do
    event[3] = index
  end
  table.sort(events, function(one, other)
    if one[1] ~= other[1] then
      return one[1] < other[1]
    end
    return one[3] < other[3]
  end)
  return events
end

local function chunk(name, events, last)
  local parts, now = { "\0" .. meta(3, name) }, 0
  for _, event in ipairs(in_order(events)) do
    parts[#parts + 1] = number(math.max(0, event[1] - now)) .. event[2]
    now = math.max(now, event[1])
  end
  parts[#parts + 1] = number(math.max(0, last - now)) .. meta(0x2F, "")
  local data = table.concat(parts)
  return "MTrk" .. string.pack(">I4", #data) .. data
end

local function conductor(score, ticks)
  local found = {}
  for _, metre in ipairs(score.metres) do
    local power, denominator = 0, metre[3]
    while denominator > 1 do
      denominator, power = denominator // 2, power + 1
    end
    found[#found + 1] = { metre[1], meta(0x58, string.char(metre[2], power, 24, 8)) }
  end
  for _, tempo in ipairs(score.tempos) do
    found[#found + 1] = { tempo[1], meta(0x51, string.pack(">I4", tempo[2]):sub(2)) }
  end
  for _, mark in ipairs(score.markers) do
    found[#found + 1] = { math.floor(ticks(mark[1]) + 0.5), meta(6, mark[3]) }
  end
  for _, section in ipairs(score.sections) do
    found[#found + 1] = { math.floor(ticks(section[1]) + 0.5), meta(6, section[3]) }
  end
  return found
end

--- Give a system exclusive, as it goes over a wire, as a file states it.
function smf.exclusive(message)
  return "\xF0" .. number(#message - 1) .. message:sub(2)
end

--- Give the bytes of a file. `score` is the take that gives tempo map, division, length and markers, `ticks` its ticks
--- of seconds, `tracks` a list of {name, {{tick, message}, …}}.
function smf.file(score, ticks, tracks)
  local chunks = { chunk(score.title, conductor(score, ticks), score.length) }
  for _, track in ipairs(tracks) do
    chunks[#chunks + 1] = chunk(track[1], track[2], score.length)
  end
  return "MThd" .. string.pack(">I4I2I2I2", 6, 1, #chunks, score.division) .. table.concat(chunks)
end

return smf
