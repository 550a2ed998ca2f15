-- What is in the session now, as a MIDI file: what somebody edited goes along when bars are composed anew.

local clock = require("clock")
local parts = require("parts")
local smf = require("smf")
local source = require("source")
local work = require("work")

local base = {}

local EDGE = 0.0005 -- s
local MUTED = 2
local SYSTEM = 0xF0

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function is_note(message, kind)
  return message:byte(1) & 0xF0 == kind
end

-- Tell whether an event counts: not what is muted, of a kind we do not know, or REAPER's own end, which is the last.
local function counts(flags, message, last)
  return not last and flags & MUTED == 0 and #message > 0 and message:byte(1) <= SYSTEM
end

-- Add what is heard of an item, at the ticks of the score: no note that begins outside of it, and none longer than it.
local function add(found, piece, origin, ticks)
  local take = reaper.GetActiveTake(piece.item)
  if not take or not reaper.TakeIsMIDI(take) then
    return
  end
  local starts_late = origin < 0 and (parts.from(take) or 0) > 0 -- the project begins after the film
  local sounding, latest = {}, {}
  local function put(seconds, message, least)
    local tick = math.max(least or 0, math.floor(ticks(seconds - origin) + 0.5))
    found[#found + 1] = { tick, message }
    return tick
  end
  local function release(key, seconds, velocity)
    local begun = sounding[key] and table.remove(sounding[key], 1)
    if begun then
      latest[key] = put(math.min(seconds, piece.stop), key .. string.char(velocity), begun + 1)
    end
  end
  local function take_in(seconds, message, ppq)
    local inside = seconds > piece.start - EDGE and seconds < piece.stop - EDGE
    local key = string.char(0x80 | message:byte(1) & 0xF, message:byte(2))
    if is_note(message, 0x80) then
      release(key, seconds, message:byte(3))
    elseif is_note(message, 0x90) and message:byte(3) == 0 then
      release(key, seconds, 0)
    elseif inside and is_note(message, 0x90) then
      sounding[key] = sounding[key] or {}
      table.insert(sounding[key], put(seconds, message))
    elseif inside and not (starts_late and ppq == 0 and source.lasts(message)) then
      put(seconds, message:byte(1) == SYSTEM and smf.exclusive(message) or message)
    end
  end
  for _, event in ipairs(parts.timed(take)) do
    local seconds, flags, message, ppq, last = table.unpack(event)
    if counts(flags, message, last) then
      take_in(seconds, message, ppq)
    end
  end
  -- What nothing ends lasts to the next note of its pitch, or to the end of the item.
  for key, begun in pairs(sounding) do
    for index, tick in ipairs(begun) do
      local stop = begun[index + 1] or math.floor(ticks(piece.stop - origin) + 0.5)
      latest[key] = math.max(latest[key] or 0, stop, tick + 1)
      found[#found + 1] = { latest[key], key .. string.char(0) }
    end
  end
end

-- Add what a project cannot hold since it lies before its beginning: that is as the take has it.
local function add_before(found, part, last)
  for _, note in ipairs(part.notes) do
    local start, stop, channel, pitch, velocity = table.unpack(note)
    if start < last then
      found[#found + 1] = { start, string.char(0x90 | channel, pitch, velocity) }
      found[#found + 1] = { stop, string.char(0x80 | channel, pitch, 0) }
    end
  end
  for _, event in ipairs(part.events) do
    if event[1] < last then
      found[#found + 1] = { event[1], bytes_of(event[2]) }
    end
  end
end

-- Ends before beginnings, and what is set before what it is for.
local function rank(message)
  local struck = is_note(message, 0x90) and message:byte(3) > 0
  return struck and 3 or is_note(message, 0x80) and 1 or 2
end

local function in_order(events)
  for index, event in ipairs(events) do
    event[3] = index
  end
  table.sort(events, function(one, other)
    if one[1] ~= other[1] then
      return one[1] < other[1]
    end
    local a, b = rank(one[2]), rank(other[2])
    return a < b or a == b and one[3] < other[3]
  end)
  return events
end

--- Write what our items hold to a file; `score` is the take that gives tempo map and division.
function base.write(path, video, score)
  local _, ticks = clock(score)
  local pieces = parts.heard(parts.of(video))
  local origin = parts.origin(pieces, video)
  local tracks, by_name = {}, {}
  for _, piece in ipairs(pieces) do
    if not by_name[piece.part] then
      by_name[piece.part] = {}
      tracks[#tracks + 1] = { piece.part, by_name[piece.part] }
    end
    add(by_name[piece.part], piece, origin, ticks)
  end
  for _, part in ipairs(score.parts) do
    if origin < 0 and by_name[part.name] then
      add_before(by_name[part.name], part, math.ceil(ticks(-origin) - 0.5))
    end
  end
  for _, track in ipairs(tracks) do
    in_order(track[2])
  end
  local file = io.open(path, "wb")
  if not file then
    work.refuse("Cannot write " .. path .. ". Is the disk full, or the folder closed to you?")
  end
  file:write(smf.file(score, ticks, tracks))
  file:close()
end

return base
