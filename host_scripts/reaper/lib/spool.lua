-- The daemon, asked by files: stock REAPER has no sockets. See docs/control.md, "Files".

local json = require("json")
local work = require("work")

local spool = {}

local SILENCE = 3.0 -- s, after which nobody answers
local PATIENCE = 20.0 -- s, for a daemon that answered before
local STARTING = 30.0 -- s, for a daemon to begin
local EVERY = 0.3 -- s, between two looks at a job
local DETACHED = -2 -- no waiting, and no window in front
local YES = 6

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

-- The daemons that there are, or that were killed: {state, folder}, those first whose folder is nearest to a file.
local function daemons(path)
  local root = where().state
  local found = {}
  reaper.EnumerateSubdirectories(root, -1) -- REAPER remembers what it listed before
  for index = 0, math.maxinteger do
    local name = reaper.EnumerateSubdirectories(root, index)
    if not name then
      break
    end
    local state = root .. SEPARATOR .. name
    local ok, said = pcall(json.decode, read(state .. SEPARATOR .. "instance.json") or "")
    if ok and type(said) == "table" and type(said.folder) == "string" then
      local near = within(path, said.folder) and #said.folder or 0
      found[#found + 1] = { state = state, folder = said.folder, near = near }
    end
  end
  table.sort(found, function(one, other)
    if one.near ~= other.near then
      return one.near > other.near
    end
    return one.state < other.state
  end)
  return found
end

local function fresh()
  return "reaper-" .. reaper.genGuid(""):gsub("[^%w]", ""):lower()
end

local function place(daemon, folder, name)
  return table.concat({ daemon.state, "spool", folder, name }, SEPARATOR)
end

-- Put a request; give its name, or nil where that cannot be.
local function put(daemon, what, with)
  local id = fresh()
  local goal = place(daemon, "requests", id .. ".json")
  local file = io.open(goal .. ".part", "wb")
  if not file then
    return nil
  end
  local written = file:write(json.encode({ ["do"] = what, with = with }))
  file:close()
  if not written or not os.rename(goal .. ".part", goal) then
    os.remove(goal .. ".part")
    return nil
  end
  return id
end

-- Give what was answered to a request; nil where nothing is yet.
local function answered(daemon, id)
  local path = place(daemon, "answers", id .. ".json")
  local text = read(path)
  if not text then
    return nil
  end
  os.remove(path)
  return json.decode(text)
end

-- Ask, and give what is said; nil where nobody says anything.
local function ask(daemon, what, with, patience)
  local id = put(daemon, what, with)
  if not id then
    return nil
  end
  local said = work.wait(function() return answered(daemon, id) end, patience)
  if not said then
    os.remove(place(daemon, "requests", id .. ".json"))
  end
  return said
end

local function lives(daemon)
  return ask(daemon, "status", {}, SILENCE) ~= nil
end

-- A daemon may know the file's folder by another name, as where a drive has a letter here: all are asked at once.
local function by_asking(found, path)
  local asked = {}
  for _, daemon in ipairs(found) do
    if daemon.near == 0 then
      asked[daemon] = put(daemon, "takes", { path = path })
    end
  end
  local match = nil
  work.wait(function()
    for daemon, id in pairs(asked) do
      local said = answered(daemon, id)
      if said then
        asked[daemon] = nil
        local outside = not said.ok and said.error:find(" is not in ", 1, true)
        match = match or not outside and daemon or nil
      end
    end
    return match or next(asked) == nil
  end, SILENCE)
  for daemon, id in pairs(asked) do
    os.remove(place(daemon, "requests", id .. ".json"))
  end
  return match
end

--- Give the daemon that lives and watches a file's folder: its state folder, and what it watches; nil where none does.
function spool.find(path)
  local found = daemons(path)
  for _, daemon in ipairs(found) do
    if daemon.near > 0 and lives(daemon) then
      return daemon
    end
  end
  return by_asking(found, path)
end

local function quoted(word)
  return '"' .. word .. '"'
end

--- Give the daemon for a file, started if the person wants that.
function spool.daemon(path)
  work.tell("Asking cmt-bridge …")
  local daemon = spool.find(path)
  if daemon then
    return daemon
  end
  local folder = path:match("^(.*)[/\\]") or "."
  local by_hand = "cmt-bridge daemon start " .. quoted(folder)
  if folder:find('"', 1, true) or folder:find("[%c`$]") then
    work.refuse("No cmt-bridge watches the folder of this video, and its name cannot be given to a program from here. "
      .. "Start it in a terminal: cmt-bridge daemon start FOLDER")
  end
  local text = "No cmt-bridge watches the folder of this video:\n\n" .. folder
    .. "\n\nIt has to run, to score the video. It will score every video in that folder and below, once, unless "
    .. "cmt-bridge.toml there says otherwise.\n\nStart it?"
  if reaper.ShowMessageBox(text, "cmt-bridge", 4) ~= YES then
    work.refuse("Nothing was done. Start it yourself: " .. by_hand)
  end
  work.tell("Starting cmt-bridge …")
  local ran = reaper.ExecProcess(quoted(where().program) .. " daemon start " .. quoted(folder), DETACHED)
  local stop = reaper.time_precise() + STARTING
  while ran and not daemon and reaper.time_precise() < stop do
    work.pause(EVERY)
    daemon = spool.find(path)
  end
  if not daemon then
    work.refuse("cmt-bridge did not start. Try it in a terminal: " .. by_hand)
  end
  return daemon
end

--- Ask for something, and give its answer. Raises what it refuses, and that nobody answers.
function spool.must(daemon, what, with)
  local said = ask(daemon, what, with, PATIENCE)
  if not said then
    work.refuse("cmt-bridge does not answer any more. See: cmt-bridge daemon logs " .. quoted(daemon.folder))
  elseif not said.ok then
    local hint = type(said.hint) == "string" and said.hint ~= "" and " " .. said.hint or ""
    work.refuse(said.error .. hint)
  end
  return said.answer
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
    put(running.daemon, "cancel", { id = running.job })
  end
end

spool.separator = SEPARATOR

return spool
