-- Music in the session: a track for each part, an item on it with a take for each take of the score.
--
-- Notes are put where their seconds fall in this project's tempo map, so they are with the picture whatever that is.

local clock = require("clock")
local marks = require("marks")
local parts = require("parts")
local project = require("project")
local settings = require("settings")
local source = require("source")
local tempo = require("tempo")
local work = require("work")

local music = {}

local DIVISION = 960 -- ticks of a quarter, as REAPER has them; a multiple where the project is slow
local MOST = 16
local SURE = 0.8 -- of the score's tick a tick may be long, so that a note finds its own again
local HEARD = 0.001 -- s that it may be long besides
local MICROSECONDS = 1e6
local SAME = 0.001 -- s

local function quarters(time)
  return reaper.TimeMap2_timeToQN(project.id(), time)
end

-- Ticks a quarter, fine enough that every tick of the score has one of its own.
local function division_of(score, video, length)
  local slowest, shortest = math.huge, math.huge
  local first = math.max(0, video.start)
  for second = 0, math.ceil(length) do
    slowest = math.min(slowest, quarters(first + second + 1) - quarters(first + second))
  end
  for _, each in ipairs(score.tempos) do
    shortest = math.min(shortest, each[2] / MICROSECONDS / score.division)
  end
  local wanted = 1 / (math.min(SURE * shortest, HEARD) * math.max(slowest, 1e-3))
  return DIVISION * math.max(1, math.min(MOST, math.ceil(wanted / DIVISION)))
end

-- The text of a take whose source begins at a second of the project.
local function text_of(part, score, video, start)
  local zero = quarters(start)
  local first = math.ceil(score.ticks(start - video.start) - 0.5)
  return source.take("take " .. score.take, part, first, score.length, function(tick)
    return math.floor((quarters(video.start + score.seconds(tick)) - zero) * score.grid + 0.5)
  end, score.grid)
end

-- Make an item with a take for a part.
local function make(part, score, video, after)
  local start = math.max(0, video.start)
  local length = video.start + score.seconds(score.length) - start
  local name = after and part.name .. " take " .. score.take or part.name
  if length > 0 then
    local track = parts.track(part, name, after)
    parts.make(track, part, video, start - video.start, start, length, text_of(part, score, video, start))
  end
end

local function show(part, score, video, pieces)
  local name = "take " .. score.take
  local mine, having = {}, {}
  for _, piece in ipairs(pieces) do
    if piece.part == part.name then
      mine[#mine + 1] = piece
      local take = parts.take(piece.item, name)
      if take then
        having[#having + 1] = piece
        parts.show(piece, take)
      end
    end
  end
  if #mine == 0 then
    if #part.notes > 0 then
      make(part, score, video)
    end
    return
  end
  if #having == 0 and settings.get("place") == "tracks" then
    local heard = parts.heard(mine)
    make(part, score, video, heard[#heard].track)
  elseif #having == 0 then
    having = parts.heard(mine)
    for _, piece in ipairs(having) do
      local length = video.start + score.seconds(score.length) - piece.start
      local said = text_of(part, score, video, piece.start)
      parts.add(piece, name, piece.start - video.start, length, said)
    end
  end
  if #having < #mine then -- a take has tracks of its own: only those are heard
    local shown = {}
    for _, piece in ipairs(having) do
      shown[piece] = true
    end
    for _, piece in ipairs(mine) do
      parts.mute(piece, not shown[piece])
    end
  end
end

--- Lay a take out at its film, as one step to undo: as another take where the items are there already.
function music.insert(score, video, title)
  score.seconds, score.ticks = clock(score)
  project.within(function()
    local pieces = parts.of(video)
    local by = video.start - parts.origin(pieces, video)
    for _, piece in ipairs(pieces) do
      if piece.start + by < -SAME then
        work.refuse("The music that is there would begin before the project does. Move the video to a later place, or "
          .. "delete the items of the music, and try again.")
      end
    end
    local wants_tempo = tempo.wanted(video)
    project.change(title, function()
      for _, piece in ipairs(math.abs(by) > SAME and pieces or {}) do
        parts.move(piece, by)
      end
      if wants_tempo then
        tempo.take_over(score, video)
      end
      score.grid = division_of(score, video, score.seconds(score.length))
      for _, part in ipairs(score.parts) do
        show(part, score, video, pieces)
      end
      marks.put(score, video)
    end)
  end)
end

return music
