-- A REAPER that is made up: a project with tracks, items, takes, tempo, markers, and a person who answers.
--
--     lua stub.lua LIB SCRIPT STATE RESULT
--
-- STATE is JSON of a project, of answers, of what the person does and, where there is no real one, of what a daemon
-- says. RESULT is the project afterwards, what was shown, and which steps can be undone. Unlike the program it knows
-- only what api.json lists, and takes and gives nothing that is not of the right kind.

local lib, script, state_path, result_path = table.unpack(arg)
package.path = lib .. "/lib/?.lua;" .. package.path
local json = require("json")
local real_rename = os.rename

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local api = json.decode(read((arg[0]:match("^(.*/)") or "") .. "api.json")).functions
local state = json.decode(read(state_path))
local project = state.project
local elsewhere = { tracks = {}, tempos = {}, markers = {}, ext = {}, selection = { 0, 0 } } -- another tab
local front = project
local open = { [project] = true, [elsewhere] = true }
local answers = state.answers or {}
local shown, steps, executed, requests = {}, {}, {}, {}
local depth, quiet, clock, touched = 0, 0, 0, false
local queue, deferred = {}, false
local ids = project.ids or 0

-- What is handed out, by its kind

local kinds = setmetatable({}, { __mode = "k" })
kinds[project], kinds[elsewhere] = "ReaProject", "ReaProject"

local function know(kind, object)
  if object ~= nil then
    kinds[object] = kind
  end
  return object
end

local function answer(what)
  assert(#answers > 0, "nobody answers: " .. what)
  return table.remove(answers, 1)
end

local function change()
  assert(depth == 1, "a change outside of an undo block")
  assert(front == project, "a change of a project that is not in front")
  touched = true
end

local function guid()
  ids = ids + 1
  return string.format("{%08X-0000-4000-8000-%012X}", os.time(), ids + math.random(0, 1 << 40))
end

-- Tempo: square, in quarters a minute from seconds on

local function tempo_points(tempos)
  local points = { { 0, 120 } }
  for _, marker in ipairs(tempos or project.tempos) do
    if marker[1] <= 0 then
      points[1][2] = marker[2]
    else
      points[#points + 1] = { marker[1], marker[2] }
    end
  end
  table.sort(points, function(a, b) return a[1] < b[1] end)
  return points
end

local function time_to_qn(time, tempos)
  local points, passed = tempo_points(tempos), 0
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

-- Items as text: what is in an item is made anew of it, as the program does, under new handles

local function words(line)
  local found = {}
  local at = 1
  while at <= #line do
    at = line:match("^%s*()", at)
    local mark = line:sub(at, at)
    if mark == '"' or mark == "'" or mark == "`" then
      local stop = assert(line:find(mark, at + 1, true), "a word that does not end")
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

local function unbase64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local number, bits, found = 0, 0, {}
  for letter in text:gmatch("[^=]") do
    number = number << 6 | (assert(alphabet:find(letter, 1, true)) - 1)
    bits = bits + 6
    if bits >= 8 then
      bits = bits - 8
      found[#found + 1] = string.format("%02x", number >> bits & 255)
    end
  end
  return table.concat(found)
end

local function parse(item, chunk)
  local before = item.takes
  item.takes, item.active = {}, 1
  local take, message
  local block = {}
  local function fresh()
    take = know("MediaItem_Take", { name = "", events = {}, division = 960, source = "", ext = {} })
    item.takes[#item.takes + 1] = take
  end
  fresh()
  local tick = 0
  for line in chunk:gmatch("[^\r\n]+") do
    local inside = block[#block]
    local w = inside == "<X" and {} or words(line)
    if line:match("^%s*>%s*$") then
      assert(#block > 0, "a block that was not begun")
      if inside == "<X" then
        assert(#message <= 128 * 2, "a line is too long")
        take.events[#take.events + 1] = { tick, message }
      end
      block[#block] = nil
    elseif inside == "<X" then
      assert(#line < 100, "a line is too long")
      message = message .. unbase64(line:match("%S+"))
    elseif w[1] and w[1]:sub(1, 1) == "<" then
      block[#block + 1] = w[1]
      if w[1] == "<SOURCE" then
        take.source = w[2]
        tick = 0
      elseif w[1] == "<X" then
        tick, message = tick + tonumber(w[2]), ""
      end
    elseif inside == "<SOURCE" then
      if w[1] == "E" or w[1] == "e" then
        assert(tonumber(w[2]) >= 0, "time runs back")
        tick = tick + tonumber(w[2])
        take.events[#take.events + 1] = { tick, w[3] .. w[4] .. w[5] }
      elseif w[1] == "HASDATA" then
        take.division = tonumber(w[3])
      elseif w[1] == "FILE" then
        take.file = w[2]
      end
    elseif inside == "<ITEM" then
      if w[1] == "TAKE" then
        fresh()
        item.active = w[2] == "SEL" and #item.takes or item.active
      elseif w[1] == "NAME" then
        take.name = w[2] or ""
      elseif w[1] == "GUID" then
        take.guid = w[2]
      end
    end
  end
  assert(#block == 0, "a block that is not ended")
  for _, old in ipairs(before or {}) do -- what a chunk holds and we do not read
    for _, new in ipairs(item.takes) do
      if old.guid == new.guid then
        new.ext, new.offset, new.events = old.ext, old.offset, old.events
      end
    end
  end
  item.chunk = chunk
end

local function all_items(of)
  local found = {}
  for _, track in ipairs(of.tracks) do
    for _, item in ipairs(track.items) do
      item.takes, item.ext = item.takes or {}, item.ext or {}
      found[#found + 1] = know("MediaItem", item)
    end
  end
  return found
end

for _, track in ipairs(project.tracks) do
  know("MediaTrack", track)
end
for _, item in ipairs(all_items(project)) do
  if item.chunk and #item.takes == 0 then -- of a project that was opened
    parse(item, item.chunk)
  end
  for _, take in ipairs(item.takes) do
    take.ext = take.ext or {}
    know("MediaItem_Take", take)
  end
end

local function selected(of)
  local found = {}
  for _, item in ipairs(all_items(of)) do
    if item.selected then
      found[#found + 1] = item
    end
  end
  return found
end

local function owner(take)
  for _, item in ipairs(all_items(project)) do
    for index, each in ipairs(item.takes) do
      if each == take then
        return item, index
      end
    end
  end
  error("a take of nobody, or one from before its item was made anew")
end

-- Seconds of the project at which a take's source begins.
local function source_start(take)
  local item = owner(take)
  return item.position - (take.offset or 0)
end

local function of(p)
  return p == 0 and front or p
end

local function string_of(ext, what, text, sets)
  assert(what:match("^P_EXT:%w+"), what)
  if sets then
    change()
    assert(not text:find("[\"'`%s]"), "a text that a project file could break")
    ext[what] = text
  end
  return ext[what] ~= nil, ext[what] or ""
end

local reaper_ = {}

function reaper_.GetOS() return state.os or "Other" end
function reaper_.time_precise() return clock end
function reaper_.defer(call)
  deferred = true
  queue[#queue + 1] = call
end
function reaper_.genGuid() return guid() end
function reaper_.ExecProcess(line, patience)
  assert(patience == -2, "REAPER would stand still")
  executed[#executed + 1] = line
  if not state.daemons then
    os.execute(line .. " >/dev/null 2>&1")
  end
  for _, daemon in ipairs(state.daemons or {}) do
    if daemon.starts then
      os.execute("mkdir -p '" .. daemon.folder .. "/spool/requests' '" .. daemon.folder .. "/spool/answers'")
      local file = assert(io.open(daemon.folder .. "/instance.json", "wb"))
      file:write(json.encode({ folder = daemon.starts }))
      file:close()
    end
  end
  return "0\n"
end
local listed = {}
function reaper_.EnumerateSubdirectories(path, index)
  if index == -1 then
    listed[path] = nil
    return nil
  end
  if not listed[path] then
    listed[path] = {}
    local pipe = io.popen("ls -1 '" .. path .. "' 2>/dev/null")
    for name in pipe:lines() do
      table.insert(listed[path], name)
    end
    pipe:close()
  end
  return listed[path][index + 1]
end
function reaper_.ShowMessageBox(text, _, kind)
  shown[#shown + 1] = text
  if kind == 0 then
    return 1
  end
  return answer(text)
end
function reaper_.GetUserInputs(title, count, captions, values)
  shown[#shown + 1] = title
  local separator, fields = ",", 0
  for caption in captions:gmatch("[^,]+") do
    if caption:match("^separator=") then
      separator = caption:sub(11)
    elseif not caption:match("^extrawidth=") then
      fields = fields + 1
    end
  end
  assert(fields == count, "as many captions as fields: " .. fields)
  local _, parted = values:gsub(separator, "")
  assert(parted + 1 == count, "as many values as fields")
  assert(not values:find("[\"']"), "a quote that hides a separator")
  local said = answer(title)
  return said ~= false, said == false and values or said
end
function reaper_.GetExtState(section, name) return (state.kept or {})[section .. "." .. name] or "" end
function reaper_.SetExtState(section, name, text)
  state.kept = state.kept or {}
  state.kept[section .. "." .. name] = text
end
function reaper_.GetProjExtState(p, section, name)
  local text = (of(p).ext[section] or {})[name] or ""
  return #text > 0 and 1 or 0, text
end
function reaper_.SetProjExtState(p, section, name, text)
  assert(name:match("^[%w_]+$"), "a name that a project file could break")
  assert(not text:find("[\"'`%s]"), "a text that a project file could break")
  of(p).ext[section] = of(p).ext[section] or {}
  of(p).ext[section][name] = text
  return #text
end

function reaper_.EnumProjects(index)
  assert(index == -1)
  return front, "/x.rpp"
end
function reaper_.SelectProjectInstance(p)
  assert(open[p])
  front = p
end
function reaper_.ValidatePtr(pointer, kind)
  assert(kind == "ReaProject*")
  return open[pointer] == true
end
function reaper_.ValidatePtr2(_, pointer, kind)
  assert(kind == "MediaItem*")
  for _, item in ipairs(all_items(project)) do
    if item == pointer then
      return true
    end
  end
  return false
end

function reaper_.CountTracks(p) return #of(p).tracks end
function reaper_.GetTrack(p, index) return know("MediaTrack", of(p).tracks[index + 1]) end
function reaper_.GetTrackGUID(track) return track.guid end
function reaper_.IsTrackSelected(track) return track.selected == true end
function reaper_.InsertTrackAtIndex(index)
  change()
  table.insert(project.tracks, index + 1, know("MediaTrack", { guid = guid(), name = "", items = {} }))
end
function reaper_.GetSetMediaTrackInfo_String(track, what, text, sets)
  assert(what == "P_NAME")
  if sets then
    change()
    track.name = text
  end
  return true, track.name
end
function reaper_.GetMediaTrackInfo_Value(track, what)
  assert(what == "IP_TRACKNUMBER")
  for index, each in ipairs(project.tracks) do
    if each == track then
      return index + 0.0
    end
  end
end
function reaper_.SetMediaTrackInfo_Value(track, what, value)
  change()
  assert(what == "I_CUSTOMCOLOR")
  track[what] = value
  return true
end
function reaper_.ColorToNative(r, g, b) return r | g << 8 | b << 16 end

function reaper_.CountMediaItems(p) return #all_items(of(p)) end
function reaper_.GetMediaItem(p, index) return all_items(of(p))[index + 1] end
function reaper_.CountSelectedMediaItems(p) return #selected(of(p)) end
function reaper_.GetSelectedMediaItem(p, index) return selected(of(p))[index + 1] end
function reaper_.GetMediaItem_Track(item)
  for _, track in ipairs(project.tracks) do
    for _, each in ipairs(track.items) do
      if each == item then
        return track
      end
    end
  end
  error("an item of nobody")
end
function reaper_.GetMediaItemTake_Track(take) return reaper_.GetMediaItem_Track((owner(take))) end
function reaper_.CountTrackMediaItems(track) return #track.items end
function reaper_.GetTrackMediaItem(track, index) return track.items[index + 1] end
function reaper_.AddMediaItemToTrack(track)
  change()
  local item = know("MediaItem", { takes = {}, active = 1, ext = {}, position = 0.0, length = 0.0 })
  track.items[#track.items + 1] = item
  return item
end
function reaper_.GetSetMediaItemInfo_String(item, what, text, sets) return string_of(item.ext, what, text, sets) end
local ITEM = { D_POSITION = "position", D_LENGTH = "length", B_MUTE = "mute" }
function reaper_.GetMediaItemInfo_Value(item, what) return (item[assert(ITEM[what], what)] or 0) + 0.0 end
function reaper_.SetMediaItemInfo_Value(item, what, value)
  change()
  assert(what ~= "D_POSITION" or value >= 0, "an item before the project's beginning")
  item[assert(ITEM[what], what)] = value
  return true
end
function reaper_.GetItemStateChunk(item) return true, item.chunk end
function reaper_.SetItemStateChunk(item, chunk)
  change()
  parse(item, chunk)
  return true
end
function reaper_.UpdateItemInProject() end
function reaper_.CountTakes(item) return #item.takes end
function reaper_.GetTake(item, index) return know("MediaItem_Take", item.takes[index + 1]) end
function reaper_.GetTakeName(take) return take.name end
function reaper_.GetActiveTake(item) return item.takes[item.active] end
function reaper_.SetActiveTake(take)
  change()
  local item, index = owner(take)
  item.active = index
end
function reaper_.TakeIsMIDI(take) return take.source == "MIDI" end
function reaper_.GetSetMediaItemTakeInfo_String(take, what, text, sets)
  owner(take)
  return string_of(take.ext, what, text, sets)
end
function reaper_.GetTakeNumStretchMarkers(take) return take.stretched or 0 end
function reaper_.GetMediaItemTakeInfo_Value(take, what)
  return assert(({ D_PLAYRATE = take.playrate or 1.0, D_STARTOFFS = take.offset or 0.0 })[what]) + 0.0
end
function reaper_.SetMediaItemTakeInfo_Value(take, what, value)
  change()
  assert(what == "D_PLAYRATE")
  take.playrate = value
  return true
end
-- A source is a file, or a section of one: take.section is {offset, reversed}.
function reaper_.GetMediaItemTake_Source(take)
  return know("PCM_source", { file = take.file, section = take.section })
end
function reaper_.GetMediaSourceParent(source)
  return source.section and know("PCM_source", { file = source.file }) or nil
end
function reaper_.PCM_Source_GetSectionInfo(source)
  local section = source.section
  return section ~= nil, section and section[1] or 0.0, 0.0, section ~= nil and section[2] == true
end
function reaper_.GetMediaSourceFileName(source) return source.section and "" or source.file or "" end

function reaper_.MIDI_GetAllEvts(take)
  local parts, now = {}, 0
  for _, event in ipairs(take.events) do
    local bytes = event[2]:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
    local kind = bytes:byte(1) & 0xF0
    bytes = (kind == 0xC0 or kind == 0xD0) and bytes:sub(1, 2) or bytes
    parts[#parts + 1] = string.pack("i4Bs4", event[1] - now, event[3] or 0, bytes)
    now = event[1]
  end
  return true, table.concat(parts)
end
function reaper_.MIDI_SetAllEvts(take, data)
  change()
  take.events = {}
  local at, now = 1, 0
  while at <= #data do
    local offset, flags, message
    offset, flags, message, at = string.unpack("i4Bs4", data, at)
    now = now + offset
    local hex = message:gsub(".", function(letter) return string.format("%02x", letter:byte()) end)
    take.events[#take.events + 1] = { now, #message == 2 and hex .. "00" or hex, flags > 0 and flags or nil }
  end
  return true
end
function reaper_.MIDI_GetProjTimeFromPPQPos(take, ppq)
  return qn_to_time(time_to_qn(source_start(take)) + ppq / take.division)
end
function reaper_.MIDI_GetPPQPosFromProjTime(take, time)
  return (time_to_qn(time) - time_to_qn(source_start(take))) * take.division
end

function reaper_.TimeMap2_timeToQN(_, time) return time_to_qn(time) + 0.0 end
function reaper_.CountTempoTimeSigMarkers(p) return #of(p).tempos end
local tempos_before
function reaper_.SetTempoTimeSigMarker(_, index, time, _, _, bpm, numerator, denominator, _)
  assert(index == -1)
  change()
  tempos_before = tempos_before or { table.unpack(project.tempos) }
  project.tempos[#project.tempos + 1] = { time, bpm, numerator, denominator }
  return true
end
function reaper_.UpdateTimeline()
  if not tempos_before then
    return
  end
  local function moved(time) return qn_to_time(time_to_qn(time, tempos_before)) end
  for _, item in ipairs(all_items(project)) do -- all goes by beats, as in a new project
    local start, stop = moved(item.position), moved(item.position + item.length)
    for _, take in ipairs(item.takes) do
      take.playrate = take.source ~= "MIDI" and (take.playrate or 1.0) * item.length / (stop - start) or take.playrate
    end
    item.position, item.length = start, stop - start
  end
  for _, mark in ipairs(project.markers) do
    mark.from, mark.to = moved(mark.from), mark.region and moved(mark.to) or mark.to
  end
  tempos_before = nil
end

local function sorted_markers(p)
  local marks = of(p).markers
  table.sort(marks, function(a, b) return a.from < b.from end)
  for _, mark in ipairs(marks) do
    mark.guid = mark.guid or guid()
  end
  return marks
end
function reaper_.CountProjectMarkers(p)
  local marks, regions = sorted_markers(p), 0
  for _, mark in ipairs(marks) do
    regions = regions + (mark.region and 1 or 0)
  end
  return #marks, #marks - regions + 0.0, regions + 0.0
end
function reaper_.EnumProjectMarkers3(p, index)
  local mark = sorted_markers(p)[index + 1]
  if not mark then
    return 0, false, 0.0, 0.0, "", 0.0, 0.0
  end
  return index + 1, mark.region, mark.from + 0.0, mark.to + 0.0, mark.name, mark.number + 0.0, mark.colour + 0.0
end
function reaper_.GetSetProjectInfo_String(p, what, _, sets)
  local index = assert(tonumber(what:match("^MARKER_GUID:(%d+)$")), what)
  assert(not sets)
  local mark = sorted_markers(p)[index + 1]
  return mark ~= nil, mark and mark.guid or ""
end
function reaper_.SetProjectMarkerByIndex(p, index, region, from, to, number, name, colour)
  change()
  local mark = sorted_markers(p)[index + 1]
  mark.region, mark.from, mark.to, mark.number, mark.name, mark.colour = region, from, to, number, name, colour
  return true
end
function reaper_.AddProjectMarker2(_, region, from, to, name, _, colour)
  change()
  assert(from >= 0)
  local number = 1
  for _, each in ipairs(project.markers) do
    if each.region == region and each.number >= number then
      number = each.number + 1
    end
  end
  number = math.tointeger(number)
  table.insert(project.markers, {
    region = region, from = from, to = to, name = name, number = number, colour = colour, guid = guid(),
  })
  return number
end
function reaper_.DeleteProjectMarkerByIndex(p, index)
  change()
  return table.remove(sorted_markers(p), index + 1) ~= nil
end
function reaper_.GetSet_LoopTimeRange2(p) return of(p).selection[1] + 0.0, of(p).selection[2] + 0.0 end
function reaper_.format_timestr_pos(time, _, mode)
  assert(mode == 5)
  time = time + (state.starts or 0)
  local frames = math.floor(time * 25 + 1e-6)
  return string.format("%02d:%02d:%02d:%02d", frames // 90000, frames // 1500 % 60, frames // 25 % 60, frames % 25)
end
function reaper_.PreventUIRefresh(by) quiet = quiet + by end
function reaper_.UpdateArrange() end
function reaper_.Undo_BeginBlock2()
  depth, touched = depth + 1, false
end
function reaper_.Undo_EndBlock2(_, title)
  depth = depth - 1
  assert(touched, "an undo step without a change")
  steps[#steps + 1] = title
end

-- Every call is of something that there is, with the right number and kind of arguments, and gives what is listed

local function is(kind, value)
  if kind == "integer" then
    return math.type(value) == "integer" or type(value) == "number" and value == math.floor(value)
  elseif kind == "number" then
    return type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge
  elseif kind == "string" or kind == "boolean" or kind == "function" then
    return type(value) == kind
  elseif kind == "ReaProject" then
    return value == 0 or kinds[value] == kind
  end
  return kind == "any" or kinds[value] == kind
end

local called = {}
reaper = setmetatable({}, {
  __index = function(_, name)
    local form = assert(api[name], "REAPER has no function " .. name)
    return function(...)
      called[name] = true
      local count = select("#", ...)
      assert(count == #form.takes, string.format("%s takes %d, and got %d", name, #form.takes, count))
      for index, kind in ipairs(form.takes) do
        assert(is(kind, (select(index, ...))), string.format("%s, argument %d, is no %s", name, index, kind))
      end
      local given = table.pack(assert(reaper_[name], "the stub lacks " .. name)(...))
      assert(given.n <= #form.gives, name .. " gives too much")
      for index, kind in ipairs(form.gives) do
        assert(given[index] == nil or is(kind, given[index]), name .. " gives no " .. kind)
      end
      return table.unpack(given, 1, math.max(given.n, #form.gives))
    end
  end,
})

-- A daemon, where none is real: {folder = state folder, says = {operation = {answer, …}}}; the last is said again

local said_at = {}
local function as_daemon(goal)
  for _, daemon in ipairs(state.daemons or {}) do
    local id = goal:match("^(.*)/spool/requests/") == daemon.folder and goal:match("/([^/]+)%.json$")
    if id then
      local asked = json.decode(read(goal))
      requests[#requests + 1] = { id = id, ["do"] = asked["do"], with = asked.with, at = clock }
      local base = asked.with.base and io.open(asked.with.base, "rb")
      if base then
        requests[#requests].file = base:read("a"):gsub(".", function(c) return string.format("%02x", c:byte()) end)
        base:close()
      end
      local says = daemon.says[asked["do"]]
      if says then
        local answer_ = #says > 1 and table.remove(says, 1) or says[1]
        said_at[#said_at + 1] = { clock + 0.2, daemon.folder .. "/spool/answers/" .. id .. ".json", answer_, goal }
      end
    end
  end
end
function os.rename(from, to)
  local ok, fault = real_rename(from, to)
  if ok then
    assert(from == to .. ".part", "it is not written elsewhere first")
    as_daemon(to)
  end
  return ok, fault
end
local function daemons_answer()
  for index = #said_at, 1, -1 do
    local time, path, answer_, goal = table.unpack(said_at[index])
    if time <= clock then
      table.remove(said_at, index)
      local file = assert(io.open(path, "wb"))
      file:write(json.encode(answer_))
      file:close()
      os.remove(goal)
    end
  end
end

-- The window, and what the person does: {at = seconds, click = text | key = number | close | tab | delete | drag}

local drawn, at_text = {}, {}
local doing = state.person or {}
local key = 0
gfx = {
  mouse_cap = 0, mouse_x = 0, mouse_y = 0, x = 0, y = 0, w = 300, h = 330, clear = 0,
  init = function(title, width, height)
    drawn.title, drawn.open = title, true
    gfx.w, gfx.h = width, height
  end,
  setfont = function() end,
  set = function() end,
  rect = function() end,
  update = function() end,
  quit = function() drawn.open = false end,
  measurestr = function(text) return 7 * #text, 15 end,
  drawstr = function(text)
    assert(drawn.open, "it is drawn where no window is")
    at_text[text] = { gfx.x, gfx.y }
    if text ~= "Cancel" and drawn[#drawn] ~= text then
      drawn[#drawn + 1] = text
    end
  end,
  dock = function(value)
    if value >= 0 then
      drawn.docked = value
    end
    return drawn.docked or 0
  end,
  showmenu = function() return 1 end,
  getchar = function()
    local now = key
    key = 0
    return now
  end,
}

local function person()
  gfx.mouse_cap = 0
  while doing[1] and doing[1].at <= clock do
    local what = table.remove(doing, 1)
    if what.click then
      local place = assert(at_text[what.click], "there is no " .. what.click)
      gfx.mouse_x, gfx.mouse_y, gfx.mouse_cap = place[1] + 2, place[2] + 2, what.right and 2 or 1
    elseif what.key or what.close then
      key = what.close and -1 or what.key
    elseif what.tab then
      front = elsewhere
    elseif what.shut then
      front, open[project] = elsewhere, nil
    elseif what.drag then
      local item = project.tracks[1].items[1]
      item.position = item.position + what.drag
    elseif what.delete then
      table.remove(project.tracks[1].items, 1)
    end
  end
end

math.randomseed(os.time())
dofile(script)
local patience = state.patience or 120
while #queue > 0 and clock < patience do
  if not state.daemons then
    os.execute("sleep 0.03")
  end
  clock = clock + 0.03
  daemons_answer()
  person()
  local now = queue
  queue = {}
  for _, call in ipairs(now) do
    call()
  end
end
assert(#queue == 0, "it does not come to an end")
assert(depth == 0 and quiet == 0, "an undo block or a pause of drawing was not ended")
assert(#answers == 0, "something was not asked")
assert(not drawn.open, "a window is left")
assert(deferred, "REAPER makes an undo step of its own")

project.ids = ids
local names = {}
for name in pairs(called) do
  names[#names + 1] = name
end
table.sort(names)
local file = assert(io.open(result_path, "wb"))
file:write(json.encode({
  project = project, shown = shown, steps = steps, drawn = { table.unpack(drawn) }, executed = executed,
  called = names, requests = requests, kept = state.kept or {}, front = front == project, clock = clock,
  other = #elsewhere.tracks, daemons = state.daemons,
}))
file:close()
