-- What of a session is ours: tracks, the items on them, and the takes in those.
--
-- A take remembers the second of the film at which its source begins. So we know where an item has the film's first
-- picture, however it was trimmed, split or moved. Takes of a project that was exported remember nothing: they are
-- known by their tracks and names, and begin with the film.

local film = require("film")
local project = require("project")
local settings = require("settings")
local text = require("text")

local parts = {}

local FILM, PART, FROM, LAID = "P_EXT:cmt_bridge_film", "P_EXT:cmt_bridge_part", "P_EXT:cmt_bridge_from",
  "P_EXT:cmt_bridge_laid"
local SAME = 0.001 -- s
local MICROSECONDS = 1e6

local function kept(item, what)
  local ok, said = reaper.GetSetMediaItemInfo_String(item, what, "", false)
  return ok and text.of(said) or ""
end

-- Give the film of an exported project, and which part is on a track; nil where the track is none of such a project.
local function exported(track)
  local said, guid = settings.table("exported"), reaper.GetTrackGUID(track)
  for part, each in pairs(said.film and settings.table("tracks") or {}) do
    if each == guid then
      return said.film, part, said.length
    end
  end
  return nil
end

local function number_of(take)
  return take and reaper.TakeIsMIDI(take) and tonumber(reaper.GetTakeName(take):match("^take (%d+)$")) or nil
end

-- Give the film and the part of an item, and its length in ms when it was laid; nil where it is none of ours.
local function kept_of(item)
  local remembered = kept(item, FILM)
  if remembered ~= "" then
    return remembered, kept(item, PART), tonumber(kept(item, LAID))
  elseif number_of(reaper.GetActiveTake(item)) then
    return exported(reaper.GetMediaItem_Track(item))
  end
  return nil
end

local function remember_length(item, length)
  reaper.GetSetMediaItemInfo_String(item, LAID, string.format("%d", math.floor(length * 1000 + 0.5)), true)
end

--- Give the items of ours for a film, by track and position: {item, track, part, start, stop, muted}.
function parts.of(video)
  local found = {}
  for index = 0, reaper.CountTracks(project.id()) - 1 do
    local track = reaper.GetTrack(project.id(), index)
    for each = 0, reaper.CountTrackMediaItems(track) - 1 do
      local item = reaper.GetTrackMediaItem(track, each)
      local remembered, part = kept_of(item)
      if remembered and film.is(remembered, video) then
        local start = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
        found[#found + 1] = {
          item = item,
          track = track,
          part = part,
          start = start,
          stop = start + reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
          muted = reaper.GetMediaItemInfo_Value(item, "B_MUTE") ~= 0,
        }
      end
    end
  end
  return found
end

--- Give those of them that are heard: not one that is muted while another of its part plays there.
function parts.heard(pieces)
  local found = {}
  for _, piece in ipairs(pieces) do
    local covered = false
    for _, other in ipairs(pieces) do
      local together = other.start < piece.stop - SAME and other.stop > piece.start + SAME
      covered = covered or piece.muted and not other.muted and other.part == piece.part and together
    end
    if not covered then
      found[#found + 1] = piece
    end
  end
  return found
end

--- Give the second of the film at which the source of a take begins; nil where it is none of ours.
function parts.from(take)
  local ok, said = reaper.GetSetMediaItemTakeInfo_String(take, FROM, "", false)
  local from = ok and tonumber(said)
  if not from and number_of(take) and exported(reaper.GetMediaItemTake_Track(take)) then
    return 0
  end
  return from and from / MICROSECONDS or nil
end

local function remember_from(take, from)
  reaper.GetSetMediaItemTakeInfo_String(take, FROM, string.format("%d", math.floor(from * MICROSECONDS + 0.5)), true)
end

local function takes_of(item)
  local found = {}
  for index = 0, reaper.CountTakes(item) - 1 do
    local take = reaper.GetTake(item, index)
    if take and reaper.TakeIsMIDI(take) then -- an empty one is none
      found[#found + 1] = take
    end
  end
  return found
end

--- Give the second of the project at which the music has the film's first picture: where most items have it.
function parts.origin(pieces, video)
  local count, best, origin = {}, 0, video.start
  for _, piece in ipairs(pieces) do
    local take = reaper.GetActiveTake(piece.item)
    local from = take and reaper.TakeIsMIDI(take) and parts.from(take)
    if from then
      local start = reaper.MIDI_GetProjTimeFromPPQPos(take, 0) - from
      local near = math.floor(start / SAME + 0.5)
      count[near] = (count[near] or 0) + 1
      if count[near] > best or count[near] == best and math.abs(start - video.start) < SAME then
        best, origin = count[near], start
      end
    end
  end
  return origin
end

--- Give the number of the take that most of them show; nil where they show none of ours.
function parts.shown(pieces)
  local count, best, number = {}, 0, nil
  for _, piece in ipairs(parts.heard(pieces)) do
    local take = reaper.GetActiveTake(piece.item)
    local found = take and parts.from(take) and number_of(take)
    if found then
      count[found] = (count[found] or 0) + 1
      if count[found] > best then
        best, number = count[found], found
      end
    end
  end
  return number
end

--- Give the take of a name in an item; nil where there is none.
function parts.take(item, name)
  for _, take in ipairs(takes_of(item)) do
    if reaper.GetTakeName(take) == name then
      return take
    end
  end
  return nil
end

local function native(colour)
  return reaper.ColorToNative(colour[1], colour[2], colour[3]) | 0x1000000
end

local function by_guid(guid)
  for index = 0, reaper.CountTracks(project.id()) - 1 do
    local track = reaper.GetTrack(project.id(), index)
    if reaper.GetTrackGUID(track) == guid then
      return track
    end
  end
  return nil
end

--- Give the track for a part: the one that is remembered, or one that is made, `after` another or at the end.
function parts.track(part, name, after)
  local remembered = settings.table("tracks")
  local track = not after and remembered[part.name] and by_guid(remembered[part.name])
  if track then
    return track
  end
  local index = reaper.CountTracks(project.id())
  if after then
    index = math.floor(reaper.GetMediaTrackInfo_Value(after, "IP_TRACKNUMBER"))
  end
  reaper.InsertTrackAtIndex(index, true)
  track = reaper.GetTrack(project.id(), index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
  reaper.SetMediaTrackInfo_Value(track, "I_CUSTOMCOLOR", native(part.colour))
  remembered[part.name] = reaper.GetTrackGUID(track)
  settings.keep("tracks", remembered)
  return track
end

--- Make an item for a part on a track, of text of one take that begins at second `from` of the film.
function parts.make(track, part, video, from, start, length, said)
  local item = reaper.AddMediaItemToTrack(track)
  reaper.SetItemStateChunk(item, table.concat({ "<ITEM", "LOOP 0", "IGUID " .. reaper.genGuid(""), said, ">" }, "\n"),
    false)
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", start)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", length)
  reaper.GetSetMediaItemInfo_String(item, FILM, text.plain(video.path), true)
  reaper.GetSetMediaItemInfo_String(item, PART, text.plain(part.name), true)
  remember_length(item, length)
  remember_from(reaper.GetActiveTake(item), from)
  reaper.UpdateItemInProject(item)
  return item
end

--- Add a take to an item, of its text, and have it shown. Nothing of the others changes.
function parts.add(piece, name, from, length, said)
  local item = piece.item
  local _, chunk = reaper.GetItemStateChunk(item, "", false)
  reaper.SetItemStateChunk(item, chunk:gsub("%s*>%s*$", "") .. "\nTAKE\n" .. said .. "\n>\n", false)
  local take = parts.take(item, name)
  remember_from(take, from)
  reaper.SetActiveTake(take)
  local _, _, laid = kept_of(item)
  local whole = math.abs((piece.stop - piece.start) * 1000 - (laid or -1)) <= 1
  if whole and length > piece.stop - piece.start then -- nobody made it shorter
    reaper.SetMediaItemInfo_Value(item, "D_LENGTH", length)
    remember_length(item, length)
  end
  reaper.UpdateItemInProject(item)
end

--- Show a take of an item.
function parts.show(piece, take)
  if reaper.GetActiveTake(piece.item) ~= take then
    reaper.SetActiveTake(take)
  end
  reaper.UpdateItemInProject(piece.item)
end

--- Mute an item, or not.
function parts.mute(piece, muted)
  if piece.muted ~= muted then
    piece.muted = muted
    reaper.SetMediaItemInfo_Value(piece.item, "B_MUTE", muted and 1 or 0)
  end
end

-- The events of a take with the seconds at which they sound.
local function timed(take)
  local ok, data = reaper.MIDI_GetAllEvts(take, "")
  local found, at, ppq = {}, 1, 0
  while ok and at <= #data do
    local offset, flags, message
    offset, flags, message, at = string.unpack("i4Bs4", data, at)
    ppq = ppq + offset
    found[#found + 1] = { reaper.MIDI_GetProjTimeFromPPQPos(take, ppq), flags, message, ppq, at > #data }
  end
  return found
end

parts.timed = timed

-- Put the events of a take at their seconds again, after its item was moved to where the tempo may be another.
local function retimed(take, events, by)
  local packed, now, moved = {}, 0, false
  for index, event in ipairs(events) do
    local ppq = math.floor(reaper.MIDI_GetPPQPosFromProjTime(take, event[1] + by) + 0.5)
    moved = moved or ppq ~= event[4]
    packed[index] = string.pack("i4Bs4", ppq - now, event[2], event[3])
    now = ppq
  end
  if moved then
    reaper.MIDI_SetAllEvts(take, table.concat(packed))
  end
end

--- Move an item by some seconds, and all that is in it, whatever the tempo is there.
function parts.move(piece, by)
  local takes, events = takes_of(piece.item), {}
  for index, take in ipairs(takes) do
    events[index] = timed(take)
  end
  reaper.SetMediaItemInfo_Value(piece.item, "D_POSITION", piece.start + by)
  reaper.UpdateItemInProject(piece.item)
  for index, take in ipairs(takes) do
    retimed(take, events[index], by)
  end
  piece.start, piece.stop = piece.start + by, piece.stop + by
end

return parts
