-- Music in the session: a track for each part, an item in it with a take for each take of the score.
--
-- Items are made as text, as a project file has them: so every message is there, each on its tick, in one step. Notes
-- are put where their seconds fall in this project's tempo map, so they are with the picture whatever that is.

local clock = require("clock")
local settings = require("settings")

local music = {}

local OURS = "P_EXT:cmt-bridge" -- the film that an item is the music for
local MARKER_COLOURS = { cut = { 200, 60, 60 }, beat = { 220, 170, 40 } }
local SECTION_COLOUR = { 70, 130, 160 }
local MICROSECONDS = 1e6

-- The text of takes

local function quoted(text)
  text = text:gsub("[\r\n]", " ")
  for _, mark in ipairs({ '"', "'", "`" }) do
    if not text:find(mark, 1, true) then
      return mark .. text .. mark
    end
  end
  return "`" .. text:gsub("`", "'") .. "`"
end

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
  return (message:byte(1) == 0xF0 and message:sub(1, 1) or "") .. message:sub(at + 1)
end

local function events_of(part)
  local found = {}
  for _, note in ipairs(part.notes) do
    local start, stop, channel, pitch, velocity = table.unpack(note)
    found[#found + 1] = { start, 3, string.char(0x90 | channel, pitch, velocity) }
    found[#found + 1] = { stop, 1, string.char(0x80 | channel, pitch, 0) }
  end
  for _, event in ipairs(part.events) do
    found[#found + 1] = { event[1], 2, bytes_of(event[2]) }
  end
  for index, event in ipairs(found) do
    event[4] = index
  end
  table.sort(found, function(one, other)
    for field = 1, 4 do
      if field ~= 3 and one[field] ~= other[field] then
        return one[field] < other[field]
      end
    end
    return false
  end)
  return found
end

local function source_text(part, score, place)
  local lines = { "<SOURCE MIDI", string.format("HASDATA 1 %d QN", score.division) }
  local now = 0
  for _, event in ipairs(events_of(part)) do
    local tick, message = place(event[1]), event[3]
    local delta = math.max(0, tick - now)
    now = now + delta
    if message:byte(1) < 0xF0 then
      local hex = {}
      for index = 1, 3 do
        hex[index] = string.format("%02x", message:byte(index) or 0)
      end
      lines[#lines + 1] = string.format("E %d %s", delta, table.concat(hex, " "))
    else
      lines[#lines + 1] = string.format("<X %d 0\n%s\n>", delta, base64(framed(message)))
    end
  end
  lines[#lines + 1] = string.format("E %d b0 7b 00", math.max(0, place(score.length) - now))
  lines[#lines + 1] = ">"
  return table.concat(lines, "\n")
end

local function take_text(part, score, place)
  return table.concat({
    "NAME " .. quoted("take " .. score.take),
    "VOLPAN 1 0 1 -1",
    "SOFFS 0 0",
    "PLAYRATE 1 1 0 -1 0 0.0025",
    "CHANMODE 0",
    "GUID " .. reaper.genGuid(""),
    source_text(part, score, place),
  }, "\n")
end

-- Tracks and items

local function by_guid(guid)
  for index = 0, reaper.CountTracks(0) - 1 do
    local track = reaper.GetTrack(0, index)
    if reaper.GetTrackGUID(track) == guid then
      return track
    end
  end
  return nil
end

local function native(colour)
  return reaper.ColorToNative(colour[1], colour[2], colour[3]) | 0x1000000
end

local function track_of(part)
  local track = by_guid(settings.get("track " .. part.name))
  if track then
    return track
  end
  local index = reaper.CountTracks(0)
  reaper.InsertTrackAtIndex(index, true)
  track = reaper.GetTrack(0, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", part.name, true)
  reaper.SetMediaTrackInfo_Value(track, "I_CUSTOMCOLOR", native(part.colour))
  settings.set("track " .. part.name, reaper.GetTrackGUID(track))
  return track
end

--- Give the film that an item is our music for; nil where it is none of ours.
function music.film_of(item)
  local ok, path = reaper.GetSetMediaItemInfo_String(item, OURS, "", false)
  return ok and path ~= "" and path or nil
end

local function item_on(track, path)
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    local item = reaper.GetTrackMediaItem(track, index)
    if music.film_of(item) == path then
      return item
    end
  end
  return nil
end

--- Call a function with each item of ours for a film, its track and its part's name.
function music.each(path, call)
  for index = 0, reaper.CountTracks(0) - 1 do
    local track = reaper.GetTrack(0, index)
    local item = item_on(track, path)
    if item then
      local _, name = reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "", false)
      call(item, track, name)
    end
  end
end

local function take_named(item, name)
  for index = 0, reaper.CountTakes(item) - 1 do
    local take = reaper.GetTake(item, index)
    if reaper.GetTakeName(take) == name then
      return take
    end
  end
  return nil
end

local function put(part, score, film, place)
  local track = track_of(part)
  local item = item_on(track, film.path)
  local name = "take " .. score.take
  if item then
    local there = take_named(item, name)
    if there then
      reaper.SetActiveTake(there)
    else
      local _, chunk = reaper.GetItemStateChunk(item, "", false)
      local head = chunk:gsub("\nTAKE SEL", "\nTAKE"):gsub("%s*>%s*$", "")
      reaper.SetItemStateChunk(item, head .. "\nTAKE SEL\n" .. take_text(part, score, place) .. "\n>\n", false)
    end
  else
    item = reaper.AddMediaItemToTrack(track)
    local length = score.seconds(score.length)
    reaper.SetItemStateChunk(item, table.concat({
      "<ITEM",
      string.format("POSITION %.14f", film.start),
      string.format("LENGTH %.14f", length),
      "LOOP 0",
      take_text(part, score, place),
      ">",
    }, "\n"), false)
    reaper.GetSetMediaItemInfo_String(item, OURS, film.path, true)
  end
  reaper.UpdateItemInProject(item)
end

-- Tempo and markers

local function ask_for_tempo(film)
  if reaper.CountTempoTimeSigMarkers(0) > 0 or film.start < 0 then
    return false
  end
  local said = settings.get("tempo map")
  if said == "" then
    local text = "Shall this project take over the tempo of the music, so that its bars are the project's bars?\n\n"
      .. "With or without it the notes are with the picture."
    said = reaper.ShowMessageBox(text, "cmt-bridge", 4) == 6 and "yes" or "no"
    settings.set("tempo map", said)
  end
  return said == "yes"
end

local function take_over_tempo(score, film)
  for index, tempo in ipairs(score.tempos) do
    local numerator, denominator = 0, 0
    if index == 1 then
      numerator, denominator = score.metres[1][2], score.metres[1][3]
    end
    local time = film.start + score.seconds(tempo[1])
    reaper.SetTempoTimeSigMarker(0, -1, time, -1, -1, 60 * MICROSECONDS / tempo[2], numerator, denominator, false)
  end
  reaper.UpdateTimeline()
end

local function clear_marks()
  for kind, number in settings.get("marks"):gmatch("(%a)(%d+)") do
    reaper.DeleteProjectMarker(0, tonumber(number), kind == "r")
  end
end

local function put_marks(score, film)
  clear_marks()
  local made = {}
  for _, mark in ipairs(score.markers) do
    local colour = native(MARKER_COLOURS[mark[2]] or SECTION_COLOUR)
    local number = reaper.AddProjectMarker2(0, false, film.start + mark[1], 0, mark[3], -1, colour)
    made[#made + 1] = "m" .. number
  end
  for _, section in ipairs(score.sections) do
    local colour = native(SECTION_COLOUR)
    local from, to = film.start + section[1], film.start + section[2]
    local number = reaper.AddProjectMarker2(0, true, from, to, section[3], -1, colour)
    made[#made + 1] = "r" .. number
  end
  settings.set("marks", table.concat(made, " "))
end

--- Lay a take out at its film, as one step to undo: as another take where the items are there already.
function music.insert(score, film, title)
  score.seconds, score.ticks = clock(score)
  local tempo = ask_for_tempo(film)
  reaper.Undo_BeginBlock2(0)
  reaper.PreventUIRefresh(1)
  if tempo then
    take_over_tempo(score, film)
  end
  local zero = reaper.TimeMap2_timeToQN(0, film.start)
  local function place(tick)
    local quarters = reaper.TimeMap2_timeToQN(0, film.start + score.seconds(tick)) - zero
    return math.floor(quarters * score.division + 0.5)
  end
  for _, part in ipairs(score.parts) do
    put(part, score, film, place)
  end
  put_marks(score, film)
  settings.set("film", film.path)
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock2(0, title, -1)
end

return music
