-- A take as text, as a project file has it: so every message is there, each on its tick, in one step.
--
-- REAPER gives a source that is made through its API no ticks to put notes at; one from text has them.

local text = require("text")

local source = {}

local ENDS, OTHER, STARTS = 1, 2, 3 -- on one tick in this order
local LINE = 40 -- bytes of a message in a line
local CONTROLLER, PROGRAM, PRESSURE, BEND, SYSTEM = 0xB0, 0xC0, 0xD0, 0xE0, 0xF0

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(data)
  local found = {}
  for at = 1, #data, 3 do
    local a, b, c = data:byte(at, at + 2)
    local number = a << 16 | (b or 0) << 8 | (c or 0)
    for place = 0, 3 do
      local sextet = number >> (18 - 6 * place) & 63
      found[#found + 1] = (place > (c and 3 or b and 2 or 1)) and "=" or ALPHABET:sub(sextet + 1, sextet + 1)
    end
  end
  return table.concat(found)
end

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- What a file states of a system exclusive's length is not sent.
local function framed(message)
  local at = 2
  while message:byte(at) and message:byte(at) >= 0x80 do
    at = at + 1
  end
  return (message:byte(1) == SYSTEM and message:sub(1, 1) or "") .. message:sub(at + 1)
end

-- What a message is a new value of; nil where it is none.
local function subject(message)
  local kind = message:byte(1) & 0xF0
  if kind == CONTROLLER then
    return message:sub(1, 2)
  end
  return (kind == PROGRAM or kind == PRESSURE or kind == BEND) and message:sub(1, 1) or nil
end

--- Give the events of a part from a tick on, in order, as {tick, rank, message}: no note that began before, but what
--- controllers, programs and bends were set to by then.
function source.events(part, first)
  local found, set, names = {}, {}, {}
  for _, note in ipairs(part.notes) do
    local start, stop, channel, pitch, velocity = table.unpack(note)
    if start >= first then
      found[#found + 1] = { start, STARTS, string.char(0x90 | channel, pitch, velocity) }
      found[#found + 1] = { stop, ENDS, string.char(0x80 | channel, pitch, 0) }
    end
  end
  for _, event in ipairs(part.events) do
    local message = bytes_of(event[2])
    if event[1] >= first then
      found[#found + 1] = { event[1], OTHER, message }
    else
      local name = subject(message)
      if name then
        names[#names + 1] = set[name] == nil and name or nil
        set[name] = message
      end
    end
  end
  for index, event in ipairs(found) do
    event[4] = index
  end
  for index, name in ipairs(names) do
    found[#found + 1] = { first, OTHER, set[name], index - #names }
  end
  table.sort(found, function(one, other)
    for _, field in ipairs({ 1, 2, 4 }) do
      if one[field] ~= other[field] then
        return one[field] < other[field]
      end
    end
    return false
  end)
  return found
end

local function event_lines(lines, delta, message)
  if message:byte(1) < SYSTEM then
    local hex = {}
    for index = 1, 3 do -- a channel message has always three bytes here
      hex[index] = string.format("%02x", message:byte(index) or 0)
    end
    lines[#lines + 1] = string.format("E %d %s", delta, table.concat(hex, " "))
    return
  end
  lines[#lines + 1] = string.format("<X %d 0", delta)
  local data = framed(message)
  for at = 1, #data, LINE do
    lines[#lines + 1] = base64(data:sub(at, at + LINE - 1))
  end
  lines[#lines + 1] = ">"
end

--- Give the text of a take: `place` gives the tick of its source for one of the score, `division` those of a quarter.
function source.take(name, part, first, last, place, division)
  local lines = {
    "NAME " .. text.quoted(name),
    "SOFFS 0 0",
    "PLAYRATE 1 1 0 -1 0 0.0025",
    "CHANMODE 0",
    "GUID " .. reaper.genGuid(""),
    "<SOURCE MIDI",
    string.format("HASDATA 1 %d QN", division),
  }
  local now = 0
  for _, event in ipairs(source.events(part, first)) do
    local tick = math.max(now, place(event[1]))
    event_lines(lines, tick - now, event[3])
    now = tick
  end
  lines[#lines + 1] = string.format("E %d b0 7b 00", math.max(0, place(last) - now))
  lines[#lines + 1] = ">"
  return table.concat(lines, "\n")
end

--- Tell whether a message sets something that lasts: a controller, a program, a bend, a pressure.
function source.lasts(message)
  return subject(message) ~= nil
end

return source
