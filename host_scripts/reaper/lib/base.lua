-- What is in the session now, as a MIDI file: what somebody edited goes along when bars are composed anew.

local music = require("music")
local work = require("work")

local base = {}

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

local function chunk(events, last)
  local parts, now = {}, 0
  for _, event in ipairs(events) do
    parts[#parts + 1] = number(math.max(0, event[1] - now)) .. event[2]
    now = math.max(now, event[1])
  end
  parts[#parts + 1] = number(math.max(0, last - now)) .. meta(0x2F, "")
  local data = table.concat(parts)
  return "MTrk" .. string.pack(">I4", #data) .. data
end

-- By ticks, and what is at the same one as it came.
local function earlier(one, other)
  if one[1] ~= other[1] then
    return one[1] < other[1]
  end
  return one[3] < other[3]
end

-- The messages of a take at the ticks of the score.
local function messages(take, film, score)
  local ok, data = reaper.MIDI_GetAllEvts(take, "")
  if not ok then
    return {}
  end
  local found, at, ppq = {}, 1, 0
  while at < #data do
    local offset, flags, message
    offset, flags, message, at = string.unpack("i4Bs4", data, at)
    ppq = ppq + offset
    local muted = flags & 2 == 2
    if #message > 0 and at < #data and not muted and message:byte(1) < 0xF0 then -- the last one is REAPER's own end
      local seconds = reaper.MIDI_GetProjTimeFromPPQPos(take, ppq) - film.start
      found[#found + 1] = { math.max(0, math.floor(score.ticks(seconds) + 0.5)), message, #found }
    elseif #message > 1 and message:byte(1) == 0xF0 and not muted then
      local seconds = reaper.MIDI_GetProjTimeFromPPQPos(take, ppq) - film.start
      local body = message:sub(2)
      local tick = math.max(0, math.floor(score.ticks(seconds) + 0.5))
      found[#found + 1] = { tick, "\xF0" .. number(#body) .. body, #found }
    end
  end
  table.sort(found, earlier)
  return found
end

--- Write what our items hold to a file; `score` is the take that gives tempo map and division.
function base.write(path, film, score)
  score.seconds, score.ticks = music.clock(score)
  local head, last = {}, score.length
  for _, metre in ipairs(score.metres) do
    local power, denominator = 0, metre[3]
    while denominator > 1 do
      denominator, power = denominator // 2, power + 1
    end
    head[#head + 1] = { metre[1], meta(0x58, string.char(metre[2], power, 24, 8)) }
  end
  for _, tempo in ipairs(score.tempos) do
    head[#head + 1] = { tempo[1], meta(0x51, string.pack(">I4", tempo[2]):sub(2)) }
  end
  for _, mark in ipairs(score.markers) do
    head[#head + 1] = { math.floor(score.ticks(mark[1]) + 0.5), meta(6, mark[3]) }
  end
  for _, section in ipairs(score.sections) do
    head[#head + 1] = { math.floor(score.ticks(section[1]) + 0.5), meta(6, section[3]) }
  end
  for index, event in ipairs(head) do
    event[3] = index
  end
  table.sort(head, earlier)
  table.insert(head, 1, { 0, meta(3, score.title) })
  local chunks = { chunk(head, last) }
  music.each(film.path, function(item, _, name)
    local take = reaper.GetActiveTake(item)
    if take and reaper.TakeIsMIDI(take) then
      local events = messages(take, film, score)
      table.insert(events, 1, { 0, meta(3, name) })
      chunks[#chunks + 1] = chunk(events, last)
    end
  end)
  local text = "MThd" .. string.pack(">I4I2I2I2", 6, 1, #chunks, score.division) .. table.concat(chunks)
  local file = io.open(path, "wb")
  if not file then
    work.refuse("Cannot write " .. path .. ". Is the disk full, or the folder closed to you?")
  end
  file:write(text)
  file:close()
end

return base
