-- What the actions share. `hosts install ardour` puts it, with common/ and where things lie, into each action: Ardour
-- keeps of a script only its factory, so nothing can be required.
--
-- given: json, clock, smf (common/), where = {program, state}; Session, Editor, LuaDialog (Ardour)

local cmt = {}

local SILENCE = 3 -- s, after which nobody answers
local PATIENCE = 20
local STEP = 50000 -- us
local BEGINS = 16 -- looks at a stream, until it is trusted to have begun
local EDGE = 0.001 -- s; a range from bar line to bar line means neither the bar before nor the one after
local MEMORY = "cmt-bridge.json"

local function refuse(text)
  error({ sentence = text }, 0)
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

local function write(path, text)
  local file = io.open(path, "wb")
  if not file then
    refuse("Cannot write " .. path .. ". Is the disk full, or the folder closed to you?")
  end
  file:write(text)
  file:close()
end

local function tell(text)
  LuaDialog.Message("cmt-bridge", text, LuaDialog.MessageType.Info, LuaDialog.ButtonType.Close):run()
end

-- What belongs to the session: its film, the second at which that begins, and how to compose

local function remembered()
  local ok, found = pcall(json.decode, read(ARDOUR.LuaAPI.build_filename(Session:path(), MEMORY)) or "")
  return ok and found or {}
end

local function remember(found)
  write(ARDOUR.LuaAPI.build_filename(Session:path(), MEMORY), json.encode(found))
end

local function film()
  local found = remembered()
  if found.film and read(found.film) then
    return found
  end
  local said = LuaDialog.Dialog("cmt-bridge: the film of this session", {
    { type = "file", key = "film", title = "Video", path = Session:path() },
    { type = "number", key = "start", title = "It begins at (s)", min = 0, max = 86400, default = 0, digits = 3 },
  }):run()
  if not said or not said.film or said.film == "" then
    refuse("Without the film there is nothing to compose for.")
  end
  found.film, found.start = said.film, said.start or 0
  remember(found)
  return found
end

-- Name, what the person reads, and the least and the greatest where it is a number, a whole one.
local SETTINGS = {
  { "control", "Follow the picture (0 to 1)", 0, 1 },
  { "density", "Onsets a bar when regenerating (-8 to 8)", -8, 8, true },
  { "instruments", "Instruments (space between)" },
  { "style", "Style" },
  { "key", "Key" },
  { "tempo", "Tempo (empty: from the picture)" },
  { "seed", "Seed (empty: another each time)", 0, 2 ^ 31 - 1, true },
}

local function setting(session, name)
  local said = session.settings and session.settings[name]
  return said ~= "" and said or nil
end

local function number_of(session, name)
  local value = tonumber(setting(session, name))
  return value and (math.tointeger(value) or value)
end

-- The options of `score`; those that are empty are left to the daemon.
local function options(session)
  local found = {}
  for _, name in ipairs({ "control", "style", "key", "tempo" }) do
    found[name] = setting(session, name)
  end
  local instruments = setting(session, "instruments")
  found.instruments = instruments and instruments:gsub("[%s,]+", ",")
  return next(found) and found or nil
end

function cmt.settings()
  local found = remembered()
  local fields, settings = {}, {}
  for index, field in ipairs(SETTINGS) do
    local now = setting(found, field[1]) or ""
    fields[index] = { type = "entry", key = field[1], title = field[2], default = now }
  end
  local said = LuaDialog.Dialog("cmt-bridge: settings of this session", fields):run()
  if not said then
    return
  end
  for _, field in ipairs(SETTINGS) do
    local value = (said[field[1]] or ""):match("^%s*(.-)%s*$")
    local amount = tonumber(value)
    local fits = amount and amount >= (field[3] or 0) and amount <= (field[4] or 0)
    if value ~= "" and field[3] and not (fits and (not field[5] or math.tointeger(amount))) then
      refuse(string.format("“%s” must be a %s from %d to %d, not “%s”. Nothing was changed.", field[2],
        field[5] and "whole number" or "number", field[3], field[4], value))
    end
    settings[field[1]] = value
  end
  found.settings = settings
  remember(found)
end

-- The daemon, asked by files. See docs/control.md, "Files".

local function listed(folder)
  local pipe = io.popen("ls -1 '" .. folder:gsub("'", "'\\''") .. "' 2>/dev/null")
  local found = {}
  for name in pipe:lines() do
    found[#found + 1] = name
  end
  pipe:close()
  return found
end

-- Those that watch the path, the nearest first; one that was killed may be among them.
local function candidates(path)
  local found = {}
  for _, name in ipairs(listed(where.state)) do
    local state = where.state .. "/" .. name
    local ok, said = pcall(json.decode, read(state .. "/instance.json") or "")
    if ok and type(said) == "table" and said.folder and path:sub(1, #said.folder + 1) == said.folder .. "/" then
      found[#found + 1] = { state = state, folder = said.folder }
    end
  end
  table.sort(found, function(one, other) return #one.folder > #other.folder end)
  return found
end

local asked = 0
local salt = tostring({}):match("0x0*(%x+)") or "0" -- Ardour's dice fall alike each time that it is started

local function fresh()
  asked = asked + 1
  return string.format("ardour-%d-%d-%s-%d", os.time(), asked, salt, math.random(0, 1 << 40))
end

local function wait(condition, seconds)
  for _ = 1, seconds * 1000000 // STEP do
    local found = condition()
    if found then
      return found
    end
    ARDOUR.LuaAPI.usleep(STEP)
  end
  return nil
end

local function ask(daemon, what, with, patience)
  local id = fresh()
  local request = daemon.state .. "/spool/requests/" .. id .. ".json"
  local answer = daemon.state .. "/spool/answers/" .. id .. ".json"
  local file = io.open(request .. ".part", "wb")
  if not file then
    return nil
  end
  file:write(json.encode({ ["do"] = what, with = with }))
  file:close()
  os.rename(request .. ".part", request)
  local text = wait(function() return read(answer) end, patience or SILENCE)
  if not text then
    os.remove(request)
    return nil
  end
  os.remove(answer)
  local said = json.decode(text)
  if not said.ok then
    refuse(said.error .. (said.hint ~= "" and " " .. said.hint or ""))
  end
  return said.answer
end

-- The one that watches the path and answers.
local function find(path, patience)
  for _, daemon in ipairs(candidates(path)) do
    if ask(daemon, "status", {}, patience) then
      return daemon
    end
  end
  return nil
end

local function must(daemon, what, with)
  local answer = ask(daemon, what, with, PATIENCE)
  if not answer then
    refuse("cmt-bridge does not answer any more. See: cmt-bridge daemon logs " .. daemon.folder)
  end
  return answer
end

local function quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function daemon_of(path)
  local daemon = find(path)
  if daemon then
    return daemon
  end
  local folder = path:match("^(.*)/") or "."
  local text = "No cmt-bridge watches the folder of this video:\n\n" .. folder
    .. "\n\nIt has to run, to score the video. It will score every video there, once, unless cmt-bridge.toml says "
    .. "otherwise.\n\nStart it?"
  local box = LuaDialog.Message("cmt-bridge", text, LuaDialog.MessageType.Question, LuaDialog.ButtonType.Yes_No)
  if box:run() ~= LuaDialog.Response.Yes then
    refuse("Nothing was done. Start it yourself: cmt-bridge daemon start " .. folder)
  end
  os.execute(quoted(where.program) .. " daemon start " .. quoted(folder) .. " >/dev/null 2>&1")
  local deadline = os.time() + PATIENCE
  repeat
    ARDOUR.LuaAPI.usleep(STEP)
    daemon = find(path, 2)
  until daemon or os.time() > deadline
  if not daemon then
    refuse("cmt-bridge did not start. Try it in a terminal: cmt-bridge daemon start " .. folder)
  end
  return daemon
end

local STAGES = { measure = "Measuring the picture", compose = "Composing", deliver = "Writing" }

local function follow(daemon, job)
  local window = LuaDialog.ProgressWindow("cmt-bridge", true)
  while job.state == "waiting" or job.state == "running" do
    if window:progress(job.share, STAGES[job.stage] or "Waiting for others") or window:canceled() then
      must(daemon, "cancel", { id = job.id })
      window:done()
      refuse("It was cancelled.")
    end
    ARDOUR.LuaAPI.usleep(6 * STEP)
    job = must(daemon, "job", { id = job.id })
  end
  window:done()
  if job.state ~= "done" then
    refuse(job.reason ~= "" and job.reason or "It was cancelled.")
  end
end

-- Music in the session: a track for each part, and a playlist of it for each take

local function ticks_at(seconds)
  return Temporal.timepos_t(math.floor(seconds * Session:nominal_sample_rate() + 0.5)):ticks()
end

local function seconds_at(ticks)
  return Temporal.timepos_t.from_ticks(ticks):samples() / Session:nominal_sample_rate()
end

local function ticks_of(beats)
  local whole, rest = tostring(beats):match("(%d+):(%d+)")
  return math.tointeger(whole) * 1920 + math.tointeger(rest)
end

local function beats(ticks)
  return Temporal.Beats.from_double(ticks / 1920)
end

local function track_of(name)
  for route in Session:get_tracks():iter() do
    local called, number = route:name(), route:name():match(" %d+$") -- which is there where the name was taken
    if called == name or number and called == name .. number then
      local track = route:to_track()
      if not track:to_midi_track():isnil() then
        return track
      end
    end
  end
  return nil
end

local function regions_of(list)
  local found = {}
  for region in list:region_list():iter() do
    if not region:to_midiregion():isnil() then
      found[#found + 1] = region
    end
  end
  return found
end

-- A region to copy: `export` made the first, and each take is a copy with other notes.
local function region_of(track)
  local found = regions_of(track:playlist())[1]
  for list in Session:playlists():playlists_for_track(track):iter() do
    found = found or regions_of(list)[1]
  end
  return found
end

local function each_part(music, call)
  local count = 0
  for _, part in ipairs(music.parts) do
    local track = track_of(part.name)
    if track and region_of(track) then
      count = count + 1
      call(part, track)
    end
  end
  return count
end

local function list_named(track, name)
  for list in Session:playlists():playlists_for_track(track):iter() do
    if list:name() == name then
      return list
    end
  end
  return nil
end

local function put(part, track, music, start)
  local name = track:name() .. " take " .. music.take
  local there = list_named(track, name)
  if there then
    track:use_playlist(ARDOUR.DataType("midi"), there)
    return
  end
  local region = region_of(track)
  local first, last = ticks_at(start), ticks_at(start + music.seconds(music.length))
  local copy = ARDOUR.RegionFactory.clone_region(region, true, true)
  track:use_new_playlist(ARDOUR.DataType("midi"))
  track:playlist():set_name(name)
  track:playlist():add_region(copy, Temporal.timepos_t.from_ticks(first + region:start():ticks()), 1, false)
  copy = regions_of(track:playlist())[1]
  copy:set_name(name)
  copy:set_muted(false)
  copy:trim_front(Temporal.timepos_t.from_ticks(first)) -- the one that was copied may be a piece only
  copy:trim_end(Temporal.timepos_t.from_ticks(math.max(last, first + 1)))
  local model = copy:to_midiregion():model()
  local change = model:new_note_diff_command("cmt-bridge")
  for note in ARDOUR.LuaAPI.note_list(model):iter() do
    change:remove(note)
  end
  for _, note in ipairs(part.notes) do
    local from, to = ticks_at(start + music.seconds(note[1])), ticks_at(start + music.seconds(note[2]))
    local length = beats(math.max(1, to - from))
    change:add(ARDOUR.LuaAPI.new_noteptr(note[3], beats(from - first), length, note[4], note[5]))
  end
  model:apply_command(Session, change)
end

local function insert(daemon, session)
  local music = must(daemon, "arrangement", { path = session.film })
  music.seconds, music.ticks = clock(music)
  Session:begin_reversible_command("cmt-bridge: take " .. music.take)
  local count = each_part(music, function(part, track) put(part, track, music, session.start) end)
  Session:commit_reversible_command(nil)
  if count > 0 then
    return
  end
  -- Ardour lets a script make no region, so the tracks come with a snapshot of this session.
  Session:save_state("", false, false, false, false, false)
  local file = ARDOUR.LuaAPI.build_filename(Session:path(), Session:snap_name() .. ".ardour")
  local line = quoted(where.program) .. " export " .. quoted(session.film) .. " --into " .. quoted(file)
  local pipe = io.popen(line .. string.format(" --at %.6f 2>&1", session.start))
  local said = pipe:read("a")
  if not pipe:close() then
    refuse(said)
  end
  local made = said:match("([^/\n]+)%.ardour")
  tell("The tracks are in a snapshot of this session: " .. (made or said) .. "\n\nOpen it: Session › Snapshots.")
end

-- Give the notes that are heard in the session, by part, and what else the take has: programs, controllers.
local function edited(session, music)
  local tracks = {}
  each_part(music, function(part, track)
    local events = {}
    for _, event in ipairs(part.events) do
      local message = event[2]:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
      events[#events + 1] = { event[1], message, 3, #events } -- before the notes of its tick
    end
    for _, region in ipairs(regions_of(track:playlist())) do
      local first = region:position():ticks() - region:start():ticks()
      local opens = region:position():ticks()
      local ends = opens + region:length():ticks()
      for note in ARDOUR.LuaAPI.note_list(region:to_midiregion():model()):iter() do
        local from = first + ticks_of(note:time())
        local to = math.min(ends, from + ticks_of(note:length()))
        local channel, pitch, velocity = note:channel(), note:note(), note:velocity()
        for index, tick in ipairs(from >= opens and from < ends and not region:muted() and { from, to } or {}) do
          local at = math.max(0, math.floor(music.ticks(seconds_at(tick) - session.start) + 0.5))
          local message = string.char(0x80 | channel, pitch, 0)
          if index == 1 then
            message = string.char(0x90 | channel, pitch, velocity)
          end
          events[#events + 1] = { at, message, index, #events }
        end
      end
    end
    table.sort(events, function(one, other)
      if one[1] ~= other[1] then
        return one[1] < other[1]
      end
      return one[3] > other[3] or one[3] == other[3] and one[4] < other[4]
    end)
    tracks[#tracks + 1] = { part.name, events }
  end)
  return tracks
end

-- Verbs

function cmt.score()
  local session = film()
  local daemon = daemon_of(session.film)
  local with = { path = session.film, again = true, options = options(session), seed = number_of(session, "seed") }
  follow(daemon, must(daemon, "score", with))
  insert(daemon, session)
end

function cmt.insert()
  local session = film()
  insert(daemon_of(session.film), session)
end

function cmt.regenerate()
  local session = film()
  local selection = Editor:get_selection()
  local rate = Session:nominal_sample_rate()
  local from, to = selection.time:start_sample() / rate, selection.time:end_sample() / rate
  if from >= to then
    refuse("Select a range first: its bars are composed anew.")
  end
  local daemon = daemon_of(session.film)
  local music = must(daemon, "arrangement", { path = session.film })
  music.seconds, music.ticks = clock(music)
  local tracks = edited(session, music)
  if #tracks == 0 then
    refuse("There is no music of cmt-bridge in this session yet. Score the film first.")
  end
  local chosen, selected = {}, 0
  for route in selection.tracks:routelist():iter() do
    selected = selected + 1
    for _, part in ipairs(music.parts) do
      local track = track_of(part.name)
      if track and track:name() == route:name() then
        chosen[#chosen + 1] = part.name:lower()
      end
    end
  end
  if selected > 0 and #chosen == 0 then
    refuse("None of the selected tracks has music of cmt-bridge. Select one that has, or none for all of them.")
  end
  local takes = must(daemon, "takes", { path = session.film })
  local base = takes.project .. "/from Ardour " .. fresh() .. ".mid"
  write(base, smf.file(music, music.ticks, tracks))
  local with = {
    path = session.film,
    from = math.max(0, from - session.start + EDGE),
    to = math.max(0, to - session.start - EDGE),
    tracks = #chosen > 0 and chosen or nil,
    base = base,
    density = number_of(session, "density"),
    control = number_of(session, "control"),
    seed = number_of(session, "seed"),
  }
  follow(daemon, must(daemon, "regenerate", with))
  os.remove(base) -- the take has all of it now
  insert(daemon, session)
end

local function step(by)
  local session = film()
  local daemon = daemon_of(session.film)
  local said = must(daemon, "takes", { path = session.film })
  local numbers, at = {}, nil
  for _, take in ipairs(said.takes) do
    if take.mark ~= "rejected" or take.take == said.current then
      numbers[#numbers + 1] = take.take
      at = take.take == said.current and #numbers or at
    end
  end
  local number = at and numbers[at + by]
  if not number then
    refuse(by > 0 and "This is the last take. Regenerate to have another." or "This is the first take.")
  end
  must(daemon, "choose", { path = session.film, take = number })
  insert(daemon, session)
end

function cmt.next()
  step(1)
end

function cmt.previous()
  step(-1)
end

function cmt.accept()
  local session = film()
  local daemon = daemon_of(session.film)
  tell("Take " .. must(daemon, "accept", { path = session.film }).current .. " is accepted.")
end

function cmt.stream()
  local session = film()
  local daemon = daemon_of(session.film)
  if must(daemon, "stream_status", {}).playing ~= "" then
    must(daemon, "stream_stop", {})
  else
    must(daemon, "stream", { path = session.film, follow = "mtc", from = { "ardour:MTC out" } })
    for _ = 1, BEGINS do
      local said = must(daemon, "stream_status", {})
      if said.playing == "" then
        local fault = type(said.error) == "table" and said.error.error and said.error
        refuse(fault and fault.error .. " " .. fault.hint or "The stream has ended.")
      elseif type(said.position) == "table" and said.position ~= json.null then
        break
      end
      ARDOUR.LuaAPI.usleep(6 * STEP)
    end
  end
end

local function run(verb)
  local ok, fault = pcall(cmt[verb])
  if not ok then
    tell(type(fault) == "table" and fault.sentence or "Something unforeseen went wrong: " .. tostring(fault))
  end
end
