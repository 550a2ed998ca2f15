-- The verbs. Each is an action of its own, and a button of the panel; they share what is remembered in the project.

local base = require("base")
local clock = require("clock")
local film = require("film")
local json = require("json")
local music = require("music")
local parts = require("parts")
local project = require("project")
local settings = require("settings")
local spool = require("spool")
local work = require("work")

local BEGINS, LOOK = 5.0, 0.3 -- s, for a stream to begin, and between two looks at it
local EDGE = 0.001 -- s; a selection from bar line to bar line means neither the bar before nor the one after

--- What each verb does, by name: a function that may wait, and is given a table for what `cancel` has to know.
local verbs = {}

local function insert(daemon, video, title)
  local score = spool.must(daemon, "arrangement", { path = video.path })
  music.insert(score, film.now(video, score.offset or 0), title .. ", take " .. score.take)
end

-- Score the selected video, and insert the music at its place.
function verbs.score(running)
  local video = film.selected()
  if not video then
    work.refuse("Select the item of a video first: its music is composed.")
  end
  local daemon = spool.daemon(video.path)
  local asked = { path = video.path, again = true, options = settings.options(), seed = settings.number("seed") }
  spool.follow(daemon, spool.must(daemon, "score", asked), running)
  insert(daemon, video, "cmt-bridge: score")
end

-- Insert the current take at the video's place, or show it there anew.
function verbs.insert()
  local video = film.any()
  insert(spool.daemon(video.path), video, "cmt-bridge: insert score")
end

-- The parts whose tracks are selected; where none is, all; nil where that is all that the score has.
local function chosen(pieces, score)
  local selected, there, is_selected, is_there = {}, {}, {}, {}
  for _, piece in ipairs(pieces) do
    if not is_there[piece.part] then
      is_there[piece.part] = true
      there[#there + 1] = piece.part
    end
    if reaper.IsTrackSelected(piece.track) and not is_selected[piece.part] then
      is_selected[piece.part] = true
      selected[#selected + 1] = piece.part
    end
  end
  if #selected > 0 then
    return selected
  end
  for _, part in ipairs(score.parts) do
    if #part.notes > 0 and not is_there[part.name] then
      return there -- the person threw that one out
    end
  end
  return nil
end

-- The seconds of the film that are selected. Raises that none are.
local function span(video, score)
  local from, to = reaper.GetSet_LoopTimeRange2(project.id(), false, false, 0, 0, false)
  if to - from <= 2 * EDGE then
    work.refuse("Make a time selection first: its bars are composed anew.")
  end
  local seconds = clock(score)
  local last = math.max(score.duration, seconds(score.length))
  from, to = math.max(0, from - video.start + EDGE), math.min(last, to - video.start - EDGE)
  if to <= from then
    work.refuse("The time selection lies outside of this video's music. Select bars of it.")
  end
  return from, to
end

-- Compose the time selection anew on the selected tracks; what is in the session goes along as it is.
function verbs.regenerate(running)
  local video = film.any()
  local pieces = parts.of(video)
  if #pieces == 0 then
    work.refuse("There is no music of cmt-bridge for this video yet. Score it first.")
  end
  local daemon = spool.daemon(video.path)
  local score = spool.must(daemon, "arrangement", { path = video.path })
  video.start = parts.origin(pieces, video)
  local from, to = span(video, score)
  local takes = spool.must(daemon, "takes", { path = video.path })
  local file = takes.project .. spool.separator .. "from REAPER " .. reaper.genGuid(""):gsub("[{}]", "") .. ".mid"
  base.write(file, video, score)
  running.file = file
  local asked = {
    path = video.path,
    from = from,
    to = to,
    tracks = chosen(pieces, score),
    base = file,
    density = settings.number("density"),
    control = settings.number("control"),
    seed = settings.number("seed"),
  }
  local ok, fault = pcall(function()
    spool.follow(daemon, spool.must(daemon, "regenerate", asked), running)
  end)
  os.remove(file) -- the take has all of it now
  if not ok then
    error(fault, 0)
  end
  insert(daemon, video, "cmt-bridge: regenerate")
end

local function step(by)
  local video = film.any()
  local daemon = spool.daemon(video.path)
  local said = spool.must(daemon, "takes", { path = video.path })
  local shown = parts.shown(parts.of(video)) or said.current -- REAPER's undo may have gone back to another
  local numbers, at = {}, nil
  for _, take in ipairs(said.takes) do
    if take.mark ~= "rejected" or take.take == shown then
      numbers[#numbers + 1] = take.take
      at = take.take == shown and #numbers or at
    end
  end
  local number = at and numbers[at + by]
  if not number then
    work.refuse(by > 0 and "This is the last take. Regenerate to have another." or "This is the first take.")
  end
  spool.must(daemon, "choose", { path = video.path, take = number })
  insert(daemon, video, "cmt-bridge: choose")
end

-- Go to the next take that was not rejected.
function verbs.next()
  step(1)
end

-- Go to the take before.
function verbs.previous()
  step(-1)
end

-- Accept the take that is shown.
function verbs.accept()
  local video = film.any()
  local daemon = spool.daemon(video.path)
  local shown = parts.shown(parts.of(video))
  local said = spool.must(daemon, "accept", { path = video.path, take = shown })
  reaper.ShowMessageBox("Take " .. (shown or said.current) .. " is accepted.", "cmt-bridge", 0)
end

-- REAPER states the project's timecode as it sends it: with its start, at its rate.
local function timecode(seconds)
  local said = seconds >= 0 and reaper.format_timestr_pos(seconds, "", 5) or ""
  return said:match("^%d?%d:%d%d:%d%d[:;.]%d%d$")
end

-- Wait until a stream has begun. Raises why it could not.
local function confirm(daemon)
  local stop = reaper.time_precise() + BEGINS
  while reaper.time_precise() < stop do
    local said = spool.must(daemon, "stream_status", {})
    if said.playing == "" then
      local fault = type(said.error) == "table" and said.error.error and said.error
      work.refuse(fault and fault.error .. " " .. fault.hint or "The stream has ended.")
    elseif type(said.position) == "table" and said.position ~= json.null then
      return
    end
    work.pause(LOOK)
  end
end

local function begin(daemon, video)
  local asked = { path = video.path }
  local follow = settings.get("follow")
  if follow ~= "" then
    asked.follow = follow
    asked.start = follow == "mtc" and timecode(video.start) or nil
  end
  for _, name in ipairs({ "from", "to" }) do
    if settings.get(name) ~= "" then
      asked[name] = { settings.get(name) }
    end
  end
  spool.must(daemon, "stream", asked)
  confirm(daemon)
end

local function plays(daemon)
  return spool.must(daemon, "stream_status", {}).playing ~= ""
end

-- Have the daemon play the music live, or end that.
function verbs.stream()
  local video = film.any()
  local daemon = spool.daemon(video.path)
  if plays(daemon) then
    spool.must(daemon, "stream_stop", {})
    work.tell("The stream has ended.")
  else
    begin(daemon, video)
    work.tell("The music plays.")
  end
end

-- Let the stream follow REAPER's timecode, or go by itself.
function verbs.follow()
  local followed = settings.get("follow")
  if followed ~= "" then
    settings.set("followed", followed) -- for the next time
    settings.set("follow", "")
  else
    local before = settings.get("followed")
    settings.set("follow", before ~= "" and before or "mtc")
  end
  local ok, video = pcall(film.any)
  local daemon = ok and spool.find(video.path)
  if daemon and plays(daemon) then
    spool.must(daemon, "stream_stop", {})
    begin(daemon, video)
  end
  local now = settings.get("follow")
  local text = now == "" and "The stream goes by itself." or "The stream follows REAPER's " .. now:upper() .. "."
  reaper.ShowMessageBox(text, "cmt-bridge", 0)
end

-- Show what is remembered in the project, and change it.
function verbs.settings()
  settings.ask()
end

local function cancel(running)
  spool.cancel(running)
  if running.file then
    os.remove(running.file)
  end
end

local actions = {}

--- Begin a verb, for `work.step` to go on with.
function actions.begin(name)
  project.begin()
  return work.begin(verbs[name], cancel)
end

--- Do a verb, with a window where it takes long.
function actions.run(name)
  project.begin()
  work.run(verbs[name], cancel)
end

return actions
