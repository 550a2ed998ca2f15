-- What is remembered in the project: how to score, what to follow, and what was answered once.

local json = require("json")
local project = require("project")
local text = require("text")

local settings = {}

local SECTION = "cmt-bridge"
local FOLLOWED = { [""] = true, clock = true, mtc = true, jack = true, ["jack-bars"] = true, link = true }

--- Give what is remembered under a name; an empty text where nothing is.
function settings.get(name)
  local _, kept = reaper.GetProjExtState(project.id(), SECTION, name)
  return text.of(kept or "")
end

--- Remember something in the project.
function settings.set(name, said)
  reaper.SetProjExtState(project.id(), SECTION, name, text.plain(said))
end

--- Give a table that is remembered under a name; an empty one where none is.
function settings.table(name)
  local ok, found = pcall(json.decode, settings.get(name))
  return ok and type(found) == "table" and found ~= json.null and found or {}
end

--- Remember a table.
function settings.keep(name, said)
  settings.set(name, json.encode(said))
end

local function number(least, most, whole)
  return function(said)
    local value = tonumber(said)
    return said == "" or value ~= nil and value >= least and value <= most and (not whole or value % 1 == 0)
  end
end

local function any()
  return true
end

-- Name, what the person reads (a comma would begin another field), what it may be, and what to say where it is not.
local FIELDS = {
  { "control", "Follow the picture (0 to 1)", number(0, 1), "a number from 0 to 1" },
  { "density", "Onsets a bar when regenerating (-8 to 8)", number(-8, 8, true), "a whole number from -8 to 8" },
  { "instruments", "Instruments (space between)", any },
  { "style", "Style", any },
  { "key", "Key", any },
  { "tempo", "Tempo (empty: from the picture)", any },
  { "seed", "Seed (empty: another each time)", number(0, 2 ^ 31 - 1, true), "a whole number from 0" },
  {
    "place",
    "A new take goes into: takes or tracks",
    function(said) return said == "" or said == "takes" or said == "tracks" end,
    "“takes” or “tracks”",
  },
  {
    "follow",
    "Stream follows: mtc or clock (empty: nothing)",
    function(said) return FOLLOWED[said] == true end,
    "mtc or clock or jack or link or empty",
  },
  { "from", "Port of REAPER's timecode or clock", any },
  { "to", "Port that the stream plays into", any },
}

local function wrong()
  for _, field in ipairs(FIELDS) do
    if not field[3](settings.get(field[1])) then
      return field
    end
  end
  return nil
end

local function take_over(said)
  local index = 0
  for value in (said .. "\n"):gmatch("(.-)\n") do
    index = index + 1
    if FIELDS[index] then
      settings.set(FIELDS[index][1], value:match("^%s*(.-)%s*$"))
    end
  end
end

--- Let the person see and change them, until all can be used or the person has enough of it.
function settings.ask()
  while true do
    local titles, values = {}, {}
    for index, field in ipairs(FIELDS) do
      titles[index] = field[2]
      values[index] = settings.get(field[1]):gsub("[\"'`%c]", " ") -- a lone quote joins what a line end parts
    end
    titles[#titles + 1] = "extrawidth=220"
    titles[#titles + 1] = "separator=\n"
    local title = "cmt-bridge: settings of this project"
    local ok, said = reaper.GetUserInputs(title, #FIELDS, table.concat(titles, ","), table.concat(values, "\n"))
    if not ok then
      return
    end
    local before = {}
    for _, field in ipairs(FIELDS) do
      before[field[1]] = settings.get(field[1])
    end
    take_over(said)
    local field = wrong()
    if not field then
      return
    end
    local given = settings.get(field[1])
    for name, value in pairs(before) do
      settings.set(name, value)
    end
    local sentence = "“" .. field[2] .. "” must be " .. field[4] .. ", not “" .. given .. "”. Nothing was changed."
    reaper.ShowMessageBox(sentence, "cmt-bridge", 0)
  end
end

--- Give a setting as a number; nil where it is empty.
function settings.number(name)
  local value = tonumber(settings.get(name))
  return value and (math.tointeger(value) or value)
end

--- Give the options of `score`, by name, as text; those that are empty are left to the daemon.
function settings.options()
  local found = {}
  for _, name in ipairs({ "control", "style", "key", "tempo" }) do
    local value = settings.get(name)
    if value ~= "" then
      found[name] = value
    end
  end
  local instruments = settings.get("instruments"):match("^[%s,]*(.-)[%s,]*$"):gsub("[%s,]+", ",")
  if instruments ~= "" then
    found.instruments = instruments
  end
  return next(found) and found or nil
end

return settings
