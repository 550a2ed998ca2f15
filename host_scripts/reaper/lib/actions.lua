-- The verbs. Each is an action of its own; they share what is remembered in the project.

local base = require("base")
local film = require("film")
local music = require("music")
local settings = require("settings")
local spool = require("spool")
local work = require("work")

local actions = {}

local EDGE = 0.001 -- s; a selection from bar line to bar line means neither the bar before nor the one after

local function insert(daemon, video, title)
  local score = spool.must(daemon, "arrangement", { path = video.path })
  music.insert(score, video, title .. ", take " .. score.take)
  return score
end

local function run(body)
  local running = {}
  work.run(function() body(running) end, function() spool.cancel(running) end)
end

--- Score the selected video, and insert the music at its place.
function actions.score()
  run(function(running)
    local video = film.selected()
    if not video then
      work.refuse("Select the item of a video first: its music is composed.")
    end
    local daemon = spool.daemon(video.path)
    local options = settings.options()
    local asked = { path = video.path, again = true, options = next(options) and options or nil }
    spool.follow(daemon, spool.must(daemon, "score", asked), running)
    insert(daemon, video, "cmt-bridge: score")
  end)
end

--- Insert the current take at the video's place, or show it there anew.
function actions.insert()
  run(function()
    local video = film.any()
    insert(spool.daemon(video.path), video, "cmt-bridge: insert score")
  end)
end

local function selected_parts(path)
  local names = {}
  music.each(path, function(_, track, name)
    if reaper.IsTrackSelected(track) then
      names[#names + 1] = name:lower()
    end
  end)
  return #names > 0 and names or nil
end

local function is_laid_out(path)
  local found = false
  music.each(path, function() found = true end)
  return found
end

--- Compose the time selection anew on the selected tracks; what is in the session goes along as it is.
function actions.regenerate()
  run(function(running)
    local video = film.any()
    if not is_laid_out(video.path) then
      work.refuse("There is no music of cmt-bridge for this video yet. Score it first.")
    end
    local from, to = reaper.GetSet_LoopTimeRange2(0, false, false, 0, 0, false)
    if to - from < EDGE then
      work.refuse("Make a time selection first: its bars are composed anew.")
    end
    local daemon = spool.daemon(video.path)
    local score = spool.must(daemon, "arrangement", { path = video.path })
    local takes = spool.must(daemon, "takes", { path = video.path })
    local file = takes.project .. spool.separator .. "from REAPER " .. reaper.genGuid(""):gsub("[{}]", "") .. ".mid"
    base.write(file, video, score)
    local asked = {
      path = video.path,
      from = math.max(0, from - video.start + EDGE),
      to = math.max(0, to - video.start - EDGE),
      tracks = selected_parts(video.path),
      base = file,
      density = tonumber(settings.get("density")),
      control = tonumber(settings.get("control")),
    }
    spool.follow(daemon, spool.must(daemon, "regenerate", asked), running)
    os.remove(file) -- the take has all of it now
    insert(daemon, video, "cmt-bridge: regenerate")
  end)
end

local function step(by)
  run(function()
    local video = film.any()
    local daemon = spool.daemon(video.path)
    local said = spool.must(daemon, "takes", { path = video.path })
    local numbers, at = {}, nil
    for _, take in ipairs(said.takes) do
      if take.mark ~= "rejected" or take.take == said.current then
        numbers[#numbers + 1] = take.take
        at = take.take == said.current and #numbers or at
      end
    end
    local number = at and numbers[at + by]
    if not number then
      work.refuse(by > 0 and "This is the last take. Regenerate to have another." or "This is the first take.")
    end
    spool.must(daemon, "choose", { path = video.path, take = number })
    insert(daemon, video, "cmt-bridge: choose")
  end)
end

--- Go to the next take that was not rejected.
function actions.next()
  step(1)
end

--- Go to the take before.
function actions.previous()
  step(-1)
end

--- Accept the current take.
function actions.accept()
  run(function()
    local video = film.any()
    local daemon = spool.daemon(video.path)
    local said = spool.must(daemon, "accept", { path = video.path })
    reaper.ShowMessageBox("Take " .. said.current .. " is accepted.", "cmt-bridge", 0)
  end)
end

local function begin(daemon, video)
  local asked = { path = video.path }
  if settings.get("follow") ~= "" then
    asked.follow = settings.get("follow")
  end
  if settings.get("from") ~= "" then
    asked.from = { settings.get("from") }
  end
  spool.must(daemon, "stream", asked)
end

--- Have the daemon play the music live, or end that.
function actions.stream()
  run(function()
    local video = film.any()
    local daemon = spool.daemon(video.path)
    if spool.must(daemon, "stream_status", {}).playing ~= "" then
      spool.must(daemon, "stream_stop", {})
    else
      begin(daemon, video)
    end
  end)
end

--- Let the stream follow REAPER's timecode, or go by itself.
function actions.follow()
  run(function()
    local follows = settings.get("follow") ~= ""
    settings.set("follow", follows and "" or "mtc")
    local video = film.any()
    local daemon = spool.find(video.path)
    if daemon and spool.must(daemon, "stream_status", {}).playing ~= "" then
      spool.must(daemon, "stream_stop", {})
      begin(daemon, video)
    end
    local text = follows and "The stream goes by itself." or "The stream follows REAPER's MTC."
    reaper.ShowMessageBox(text, "cmt-bridge", 0)
  end)
end

--- Show what is remembered in the project, and change it.
function actions.settings()
  settings.ask()
end

return actions
