-- A REAPER that is made up: a project with tracks, items, takes, tempo, markers, and a person who answers.
--
--     lua5.4 stub.lua LIB SCRIPT STATE RESULT
--
-- STATE is JSON of a project and of answers; RESULT is the project afterwards, what was shown, and what was undone in one
-- step. Unlike the program it knows only what api.lua lists, and takes nothing that is not of the right kind.

local lib, script, state_path, result_path = table.unpack(arg)
package.path = lib .. "/lib/?.lua;" .. package.path
local json = require("json")
local api = dofile((arg[0]:match("^(.*/)") or "") .. "api.lua")

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local state = json.decode(read(state_path))
local project = state.project
local answers = state.answers or {}
local shown, steps, executed = {}, {}, {}
local depth, quiet, clock, touched = 0, 0, 0, false
local queue = {}
local ids = project.ids or 0

local function answer(what)
  assert(#answers > 0, "nobody answers: " .. what)
  return table.remove(answers, 1)
end

local function change()
  assert(depth == 1, "a change outside of an undo block")
  touched = true
end

-- Tempo: square, in quarters a minute from seconds on

local function tempo_points()
  local points = { { 0, 120 } }
  for _, marker in ipairs(project.tempos) do
    if marker[1] <= 0 then
      points[1][2] = marker[2]
    else
      points[#points + 1] = { marker[1], marker[2] }
    end
  end
  table.sort(points, function(a, b) return a[1] < b[1] end)
  return points
end

local function time_to_qn(time)
  local points, passed = tempo_points(), 0
  for index, point in ipairs(points) do
    local stop = points[index + 1] and points[index + 1][1] or math.huge
    if time < stop or index == #points then
      return passed + (time - point[1]) * point[2] / 60
    end
    passed = passed + (stop - point[1]) * point[2] / 60
  end
end

local function qn_to_time(qn)
  local points, passed = tempo_points(), 0
  for index, point in ipairs(points) do
    local stop = points[index + 1] and points[index + 1][1] or math.huge
    local length = (stop - point[1]) * point[2] / 60
    if qn < passed + length or index == #points then
      return point[1] + (qn - passed) * 60 / point[2]
    end
    passed = passed + length
  end
end

-- Items as text

local function words(line)
  local found = {}
  local at = 1
  while at <= #line do
    at = line:match("^%s*()", at)
    local mark = line:sub(at, at)
    if mark == '"' or mark == "'" or mark == "`" then
      local stop = line:find(mark, at + 1, true) or #line + 1
      found[#found + 1] = line:sub(at + 1, stop - 1)
      at = stop + 1
    elseif mark ~= "" then
      local word, stop = line:match("^(%S+)()", at)
      found[#found + 1] = word
      at = stop
    end
  end
  return found
end

local function parse(item, chunk)
  item.takes, item.active = {}, 1
  local take = nil
  local block = {}
  local function fresh()
    take = { name = "", events = {}, division = 960, source = "" }
    item.takes[#item.takes + 1] = take
  end
  fresh()
  local tick = 0
  for line in chunk:gmatch("[^\r\n]+") do
    local w = words(line)
    if w[1] and w[1]:sub(1, 1) == "<" then
      block[#block + 1] = w[1]
      if w[1] == "<SOURCE" then
        take.source = w[2]
        tick = 0
      elseif w[1] == "<X" then
        tick = tick + tonumber(w[2])
        take.events[#take.events + 1] = { tick, "X" }
      end
    elseif w[1] == ">" then
      assert(#block > 0, "a block that was not begun")
      block[#block] = nil
    elseif block[#block] == "<SOURCE" then
      if w[1] == "E" or w[1] == "e" then
        tick = tick + tonumber(w[2])
        take.events[#take.events + 1] = { tick, w[3] .. w[4] .. w[5] }
      elseif w[1] == "HASDATA" then
        take.division = tonumber(w[3])
      elseif w[1] == "FILE" then
        take.file = w[2]
      end
    elseif block[#block] == "<ITEM" then
      if w[1] == "TAKE" then
        fresh()
        if w[2] == "SEL" then
          item.active = #item.takes
        end
      elseif w[1] == "NAME" then
        take.name = w[2] or ""
      elseif w[1] == "POSITION" then
        item.position = tonumber(w[2])
      elseif w[1] == "LENGTH" then
        item.length = tonumber(w[2])
      end
    end
  end
  assert(#block == 0, "a block that is not ended")
  item.chunk = chunk
end

local function items()
  local found = {}
  for _, track in ipairs(project.tracks) do
    for _, item in ipairs(track.items) do
      item.takes = item.takes or {}
      found[#found + 1] = item
    end
  end
  return found
end

for _, item in ipairs(items()) do
  for _, take in ipairs(item.takes) do
    take.item = item
  end
end

local function selected()
  local found = {}
  for _, item in ipairs(items()) do
    if item.selected then
      found[#found + 1] = item
    end
  end
  return found
end

local function owner(take)
  for _, item in ipairs(items()) do
    for index, each in ipairs(item.takes) do
      if each == take then
        return item, index
      end
    end
  end
  error("a take of nobody")
end

local reaper_ = {}

function reaper_.GetOS() return "Other" end
function reaper_.time_precise() return clock end
function reaper_.defer(call) queue[#queue + 1] = call end
function reaper_.genGuid()
  ids = ids + 1
  return string.format("{%08X-0000-4000-8000-%012X}", os.time(), ids + math.random(0, 1 << 40))
end
function reaper_.ExecProcess(line, _)
  executed[#executed + 1] = line
  os.execute(line .. " >/dev/null 2>&1")
  return "0\n"
end
function reaper_.EnumerateSubdirectories(path, index)
  local pipe = io.popen("ls -1 '" .. path .. "' 2>/dev/null")
  local found = {}
  for name in pipe:lines() do
    found[#found + 1] = name
  end
  pipe:close()
  return found[index + 1]
end
function reaper_.ShowMessageBox(text, _, kind)
  shown[#shown + 1] = text
  if kind == 0 then
    return 1
  end
  return answer(text)
end
function reaper_.GetUserInputs(title, _, _, values)
  shown[#shown + 1] = title
  local said = answer(title)
  return said ~= false, said == false and values or said
end
function reaper_.GetProjExtState(_, section, name)
  local text = (project.ext[section] or {})[name] or ""
  return #text > 0 and 1 or 0, text
end
function reaper_.SetProjExtState(_, section, name, text)
  project.ext[section] = project.ext[section] or {}
  project.ext[section][name] = text
  return 1
end

function reaper_.CountTracks() return #project.tracks end
function reaper_.GetTrack(_, index) return project.tracks[index + 1] end
function reaper_.GetTrackGUID(track) return track.guid end
function reaper_.IsTrackSelected(track) return track.selected == true end
function reaper_.InsertTrackAtIndex(index)
  change()
  table.insert(project.tracks, index + 1, { guid = reaper_.genGuid(), name = "", items = {} })
end
function reaper_.GetSetMediaTrackInfo_String(track, what, text, sets)
  assert(what == "P_NAME")
  if sets then
    change()
    track.name = text
  end
  return true, track.name
end
function reaper_.SetMediaTrackInfo_Value(track, what, value)
  change()
  track[what] = value
  return true
end
function reaper_.ColorToNative(r, g, b) return r | g << 8 | b << 16 end

function reaper_.CountMediaItems() return #items() end
function reaper_.GetMediaItem(_, index) return items()[index + 1] end
function reaper_.CountSelectedMediaItems() return #selected() end
function reaper_.GetSelectedMediaItem(_, index) return selected()[index + 1] end
function reaper_.CountTrackMediaItems(track) return #track.items end
function reaper_.GetTrackMediaItem(track, index) return track.items[index + 1] end
function reaper_.AddMediaItemToTrack(track)
  change()
  local item = { takes = {}, active = 1, ext = {}, position = 0, length = 0 }
  track.items[#track.items + 1] = item
  return item
end
function reaper_.GetSetMediaItemInfo_String(item, what, text, sets)
  assert(what:match("^P_EXT:"))
  item.ext = item.ext or {}
  if sets then
    change()
    item.ext[what] = text
  end
  return item.ext[what] ~= nil, item.ext[what] or ""
end
function reaper_.GetMediaItemInfo_Value(item, what)
  assert(what == "D_POSITION")
  return item.position
end
function reaper_.GetItemStateChunk(item) return true, item.chunk end
function reaper_.SetItemStateChunk(item, chunk)
  change()
  parse(item, chunk)
  return true
end
function reaper_.UpdateItemInProject() end
function reaper_.CountTakes(item) return #item.takes end
function reaper_.GetTake(item, index) return item.takes[index + 1] end
function reaper_.GetTakeName(take) return take.name end
function reaper_.GetActiveTake(item) return item.takes[item.active] end
function reaper_.SetActiveTake(take)
  change()
  local item, index = owner(take)
  item.active = index
end
function reaper_.TakeIsMIDI(take) return take.source == "MIDI" end
function reaper_.GetMediaItemTakeInfo_Value(take, what)
  return assert(({ D_PLAYRATE = take.playrate or 1, D_STARTOFFS = take.offset or 0 })[what])
end
function reaper_.GetMediaItemTake_Source(take) return { file = take.file, parent = take.section } end
function reaper_.GetMediaSourceParent(source)
  return source.parent and { file = source.file } or nil
end
function reaper_.GetMediaSourceFileName(source) return source.parent and "" or source.file or "" end

function reaper_.MIDI_GetAllEvts(take)
  local parts, now = {}, 0
  for _, event in ipairs(take.events) do
    if event[2] ~= "X" then
      local bytes = event[2]:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
      local kind = bytes:byte(1) & 0xF0
      bytes = (kind == 0xC0 or kind == 0xD0) and bytes:sub(1, 2) or bytes
      parts[#parts + 1] = string.pack("i4Bs4", event[1] - now, 0, bytes)
      now = event[1]
    end
  end
  return true, table.concat(parts)
end
function reaper_.MIDI_GetProjTimeFromPPQPos(take, ppq)
  local item = owner(take)
  return qn_to_time(time_to_qn(item.position) + ppq / take.division)
end

function reaper_.TimeMap2_timeToQN(_, time) return time_to_qn(time) end
function reaper_.CountTempoTimeSigMarkers() return #project.tempos end
function reaper_.SetTempoTimeSigMarker(_, index, time, _, _, bpm, numerator, denominator, _)
  assert(index == -1)
  change()
  project.tempos[#project.tempos + 1] = { time, bpm, numerator, denominator }
  return true
end
function reaper_.AddProjectMarker2(_, region, from, to, name, _, colour)
  change()
  local number = 1
  for _, each in ipairs(project.markers) do
    if each.region == region and each.number >= number then
      number = each.number + 1
    end
  end
  table.insert(project.markers, { region = region, from = from, to = to, name = name, number = number, colour = colour })
  return number
end
function reaper_.DeleteProjectMarker(_, number, region)
  change()
  for index, each in ipairs(project.markers) do
    if each.region == region and each.number == number then
      table.remove(project.markers, index)
      return true
    end
  end
  return false
end
function reaper_.GetSet_LoopTimeRange2() return project.selection[1], project.selection[2] end
function reaper_.PreventUIRefresh(by) quiet = quiet + by end
function reaper_.UpdateArrange() end
function reaper_.UpdateTimeline() end
function reaper_.Undo_BeginBlock2()
  depth, touched = depth + 1, false
end
function reaper_.Undo_EndBlock2(_, title)
  depth = depth - 1
  assert(touched, "an undo step without a change")
  steps[#steps + 1] = title
end

-- Every call is of something that there is, with the right number and kind of arguments

local KINDS = {
  p = function(v) return v == 0 end,
  o = function(v) return type(v) == "table" end,
  s = function(v) return type(v) == "string" end,
  i = function(v) return math.type(v) == "integer" or (type(v) == "number" and v == math.floor(v)) end,
  n = function(v) return type(v) == "number" and v == v end,
  b = function(v) return type(v) == "boolean" end,
  f = function(v) return type(v) == "function" end,
}

local called = {}
reaper = setmetatable({}, {
  __index = function(_, name)
    local kinds = assert(api[name], "REAPER has no function " .. name)
    local must, may = kinds:match("^(%a*)|?(%a*)$")
    return function(...)
      called[name] = true
      local count = select("#", ...)
      assert(count >= #must and count <= #must + #may, name .. " takes " .. kinds .. ", and got " .. count)
      for index = 1, count do
        local kind = (must .. may):sub(index, index)
        assert(KINDS[kind]((select(index, ...))), name .. ", argument " .. index .. ", is no " .. kind)
      end
      return assert(reaper_[name], "the stub lacks " .. name)(...)
    end
  end,
})

local drawn = {}
gfx = {
  mouse_cap = 0, mouse_x = 0, mouse_y = 0, x = 0, y = 0, clear = 0,
  init = function(title) drawn.title = title end,
  setfont = function() end,
  set = function() end,
  rect = function() end,
  update = function() end,
  quit = function() drawn.closed = true end,
  drawstr = function(text)
    if text ~= "Cancel" and drawn[#drawn] ~= text then
      drawn[#drawn + 1] = text
    end
  end,
  getchar = function()
    return state.cancel and #drawn > 0 and clock > state.cancel and -1 or 0
  end,
}

math.randomseed(os.time())
dofile(script)
local patience = state.patience or 120
while #queue > 0 and clock < patience do
  os.execute("sleep 0.03")
  clock = clock + 0.03
  local now = queue
  queue = {}
  for _, call in ipairs(now) do
    call()
  end
end
assert(#queue == 0, "it does not come to an end")
assert(depth == 0 and quiet == 0, "an undo block or a pause of drawing was not ended")
assert(#answers == 0, "something was not asked")

project.ids = ids
for _, item in ipairs(items()) do
  for _, take in ipairs(item.takes) do
    take.item = nil
  end
end
local names = {}
for name in pairs(called) do
  names[#names + 1] = name
end
table.sort(names)
local file = assert(io.open(result_path, "wb"))
file:write(json.encode({ project = project, shown = shown, steps = steps, drawn = drawn, executed = executed, called = names }))
file:close()
