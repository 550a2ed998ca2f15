-- Markers and regions of ours. They are remembered by their ids, so that what the person renames, moves or numbers anew
-- stays known, and what is the person's own is never taken away. Those of an exported project share the beginning of
-- their ids, and just that is remembered.

local film = require("film")
local project = require("project")
local settings = require("settings")

local marks = {}

local COLOURS = { cut = { 200, 60, 60 }, beat = { 220, 170, 40 } }
local SECTION = { 70, 130, 160 }

local function native(colour)
  return reaper.ColorToNative(colour[1], colour[2], colour[3]) | 0x1000000
end

-- Give the ids of all markers and regions, from the last to the first.
local function ids()
  local found = {}
  for index = reaper.CountProjectMarkers(project.id()) - 1, 0, -1 do
    local _, guid = reaper.GetSetProjectInfo_String(project.id(), "MARKER_GUID:" .. index, "", false)
    found[#found + 1] = { index, guid }
  end
  return found
end

local function is_ours(guid, ours)
  for _, each in ipairs(ours) do
    if guid:sub(1, #each) == each then
      return true
    end
  end
  return false
end

local function clear(ours)
  for _, each in ipairs(ids()) do
    if is_ours(each[2], ours) then
      reaper.DeleteProjectMarkerByIndex(project.id(), each[1])
    end
  end
end

local function add(score, video)
  for _, mark in ipairs(score.markers) do
    local time = video.start + mark[1]
    if time >= 0 then
      reaper.AddProjectMarker2(project.id(), false, time, 0, mark[3], -1, native(COLOURS[mark[2]] or SECTION))
    end
  end
  for _, section in ipairs(score.sections) do
    local from, to = math.max(0, video.start + section[1]), video.start + section[2]
    if to > from then
      reaper.AddProjectMarker2(project.id(), true, from, to, section[3], -1, native(SECTION))
    end
  end
end

--- Put the cuts, hits and sections of a score at its film, in the place of those that were put there before.
function marks.put(score, video)
  local remembered, others, ours = settings.table("marks"), {}, {}
  for path, guids in pairs(remembered) do
    if film.is(path, video) then
      for _, guid in ipairs(guids) do
        ours[#ours + 1] = guid
      end
    else
      others[path] = guids
    end
  end
  clear(ours)
  local before = {}
  for _, each in ipairs(ids()) do
    before[each[2]] = true
  end
  add(score, video)
  local guids = {}
  for _, each in ipairs(ids()) do
    if not before[each[2]] then
      guids[#guids + 1] = each[2]
    end
  end
  others[video.path] = #guids > 0 and guids or nil
  settings.keep("marks", others)
end

return marks
