-- The music's tempo as the project's, where the person wants that.

local project = require("project")
local settings = require("settings")

local tempo = {}

local MICROSECONDS_PER_MINUTE = 60e6
local YES = 6

--- Ask once for each project that has no tempo of its own; tell whether to take over the music's.
function tempo.wanted(video)
  if reaper.CountTempoTimeSigMarkers(project.id()) > 0 or video.start < 0 then
    return false
  end
  local said = settings.get("tempo_map")
  if said == "" then
    local text = "Shall this project take over the tempo of the music, so that its bars are the project's bars?\n\n"
      .. "With or without it the notes are with the picture."
    said = reaper.ShowMessageBox(text, "cmt-bridge", 4) == YES and "yes" or "no"
    settings.set("tempo_map", said)
  end
  return said == "yes"
end

-- What lies in the session by time: REAPER moves and stretches what goes by beats when the tempo changes.
local function snapshot()
  local id = project.id()
  local items, marks = {}, {}
  for index = 0, reaper.CountMediaItems(id) - 1 do
    local item = reaper.GetMediaItem(id, index)
    local kept = { item = item, takes = {} }
    for _, what in ipairs({ "D_POSITION", "D_LENGTH" }) do
      kept[what] = reaper.GetMediaItemInfo_Value(item, what)
    end
    for number = 0, reaper.CountTakes(item) - 1 do
      local take = reaper.GetTake(item, number)
      if take and not reaper.TakeIsMIDI(take) then
        kept.takes[take] = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
      end
    end
    items[#items + 1] = kept
  end
  for index = 0, reaper.CountProjectMarkers(id) - 1 do
    local _, region, from, to, name, number, colour = reaper.EnumProjectMarkers3(id, index)
    marks[#marks + 1] = { index, region, from, to, number, name, colour }
  end
  return items, marks
end

local function restore(items, marks)
  for _, kept in ipairs(items) do
    for take, rate in pairs(kept.takes) do
      if reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE") ~= rate then
        reaper.SetMediaItemTakeInfo_Value(take, "D_PLAYRATE", rate)
      end
    end
    for _, what in ipairs({ "D_POSITION", "D_LENGTH" }) do
      if reaper.GetMediaItemInfo_Value(kept.item, what) ~= kept[what] then
        reaper.SetMediaItemInfo_Value(kept.item, what, kept[what])
      end
    end
  end
  for _, mark in ipairs(marks) do
    local _, _, from, to = reaper.EnumProjectMarkers3(project.id(), mark[1])
    if from ~= mark[3] or to ~= mark[4] then
      reaper.SetProjectMarkerByIndex(project.id(), table.unpack(mark, 1, 7))
    end
  end
end

-- The changes, by tick: {tick, microseconds per quarter, numerator, denominator}, 0 where the metre stays.
local function changes(score)
  local found, at = {}, {}
  local function of(tick)
    if not at[tick] then
      at[tick] = { tick, nil, 0, 0 }
      found[#found + 1] = at[tick]
    end
    return at[tick]
  end
  for _, each in ipairs(score.tempos) do
    of(each[1])[2] = each[2]
  end
  for _, each in ipairs(score.metres) do
    local change = of(each[1])
    change[3], change[4] = each[2], each[3]
  end
  table.sort(found, function(one, other) return one[1] < other[1] end)
  for index, change in ipairs(found) do
    change[2] = change[2] or found[index - 1][2]
  end
  return found
end

--- Have the project's tempo map be the music's from the film's first picture on. What else is there keeps its time.
function tempo.take_over(score, video)
  local items, marks = snapshot()
  for _, change in ipairs(changes(score)) do
    local bpm = MICROSECONDS_PER_MINUTE / change[2]
    local time = video.start + score.seconds(change[1])
    reaper.SetTempoTimeSigMarker(project.id(), -1, time, -1, -1, bpm, change[3], change[4], false)
  end
  reaper.UpdateTimeline()
  restore(items, marks)
end

return tempo
