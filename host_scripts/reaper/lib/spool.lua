-- The daemon, asked by files: stock REAPER has no sockets. See docs/control.md, "Files".

local json = require("json")
local work = require("work")

local spool = {}

local SILENCE = 3.0 -- s, after which nobody answers
local STARTING = 30.0 -- s, for a daemon to begin
local EVERY = 0.3 -- s, between two looks at a job

local WINDOWS = reaper.GetOS():match("^Win") ~= nil
local SEPARATOR = WINDOWS and "\\" or "/"

local function where()
  local here = debug.getinfo(1, "S").source:match("^@(.*)[/\\]lib[/\\]")
  local ok, found = pcall(dofile, (here or ".") .. SEPARATOR .. "where.lua")
  if ok and type(found) == "table" then
    return found
  end
  local home = os.getenv("HOME") or ""
  local state = os.getenv("CMT_BRIDGE_STATE")
  if not state and WINDOWS then
    state = (os.getenv("LOCALAPPDATA") or "") .. "\\cmt-bridge"
  elseif not state and (reaper.GetOS():match("^OSX") or reaper.GetOS():match("^macOS")) then
    state = home .. "/Library/Application Support/cmt-bridge"
  elseif not state then
    state = (os.getenv("XDG_STATE_HOME") or home .. "/.local/state") .. "/cmt-bridge"
  end
  return { program = "cmt-bridge", state = state }
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("a")
  file:close()
  return text
end

local function plain(path)
  path = path:gsub("\\", "/"):gsub("/+$", "")
  return WINDOWS and path:lower() or path
end

local function within(path, folder)
  path, folder = plain(path), plain(folder)
  return path:sub(1, #folder + 1) == folder .. "/"
end

--- Give the daemon that watches a file's folder: the state folder, and what it watches; nil where there is none.
function spool.find(path)
  local root = where().state
  local index = 0
  while true do
    local name = reaper.EnumerateSubdirectories(root, index)
    if not name then
      return nil
    end
    local folder = root .. SEPARATOR .. name
    local text = read(folder .. SEPARATOR .. "instance.json")
    local ok, said = pcall(json.decode, text or "")
    if ok and type(said) == "table" and type(said.folder) == "string" and within(path, said.folder) then
      return { state = folder, folder = said.folder }
    end
    index = index + 1
  end
end

local function fresh()
  return "reaper-" .. reaper.genGuid(""):gsub("[^%w]", ""):lower()
end

--- Ask a daemon for something, and give its answer. Raises what it refuses, and that nobody answers.
function spool.ask(daemon, what, with, patience)
  local id = fresh()
  local requests = daemon.state .. SEPARATOR .. "spool" .. SEPARATOR .. "requests" .. SEPARATOR
  local answer = daemon.state .. SEPARATOR .. "spool" .. SEPARATOR .. "answers" .. SEPARATOR .. id .. ".json"
  local file = io.open(requests .. id .. ".json.part", "wb")
  if not file then
    return nil
  end
  file:write(json.encode({ ["do"] = what, with = with }))
  file:close()
  os.rename(requests .. id .. ".json.part", requests .. id .. ".json")
  local text = work.wait(function() return read(answer) end, patience or SILENCE)
  if not text then
    os.remove(requests .. id .. ".json")
    return nil
  end
  os.remove(answer)
  local said = json.decode(text)
  if not said.ok then
    local hint = said.hint ~= "" and " " .. said.hint or ""
    work.refuse(said.error .. hint)
  end
  return said.answer
end

local function quoted(word)
  return '"' .. word:gsub('"', "") .. '"'
end

--- Give the daemon for a file, started if the person wants that.
function spool.daemon(path)
  local daemon = spool.find(path)
  if daemon and spool.ask(daemon, "status", {}) then
    return daemon
  end
  local folder = path:match("^(.*)[/\\]") or "."
  local text = "No cmt-bridge watches the folder of this video:\n\n" .. folder
    .. "\n\nIt has to run, to score the video. It will score every video in that folder and below, once, unless "
    .. "cmt-bridge.toml there says otherwise.\n\nStart it?"
  if reaper.ShowMessageBox(text, "cmt-bridge", 4) ~= 6 then
    work.refuse("Nothing was done. Start it yourself: cmt-bridge daemon start " .. folder)
  end
  work.tell("Starting cmt-bridge …")
  reaper.ExecProcess(quoted(where().program) .. " daemon start " .. quoted(folder), -1)
  daemon = work.wait(function() return spool.find(path) end, STARTING)
  if not daemon or not spool.ask(daemon, "status", {}, STARTING) then
    work.refuse("cmt-bridge did not start. Try it in a terminal: cmt-bridge daemon start " .. folder)
  end
  return daemon
end

--- Ask for something, and give its answer; raises that nobody answers.
function spool.must(daemon, what, with)
  local answer = spool.ask(daemon, what, with, 20.0)
  if not answer then
    work.refuse("cmt-bridge does not answer any more. See: cmt-bridge daemon logs " .. daemon.folder)
  end
  return answer
end

local STAGES = { measure = "Measuring the picture …", compose = "Composing …", deliver = "Writing …" }

--- Follow a job to its end, telling how far it is; give it. Raises why it failed. `running` has its number meanwhile.
function spool.follow(daemon, job, running)
  running.daemon, running.job = daemon, job.id
  while job.state == "waiting" or job.state == "running" do
    work.tell(STAGES[job.stage] or "Waiting for others …", job.share)
    work.pause(EVERY)
    job = spool.must(daemon, "job", { id = job.id })
  end
  running.job = nil
  if job.state ~= "done" then
    work.refuse(job.reason ~= "" and job.reason or "It was cancelled.")
  end
  return job
end

--- Have a job ended, without waiting for that.
function spool.cancel(running)
  if running.job then
    local path = running.daemon.state .. SEPARATOR .. "spool" .. SEPARATOR .. "requests" .. SEPARATOR .. fresh()
    local file = io.open(path .. ".json.part", "wb")
    if file then
      file:write(json.encode({ ["do"] = "cancel", with = { id = running.job } }))
      file:close()
      os.rename(path .. ".json.part", path .. ".json")
    end
  end
end

spool.separator = SEPARATOR

return spool
