-- What is remembered in the project: how to score, what to follow, and what was answered once.

local settings = {}

local SECTION = "cmt-bridge"

--- Give what is remembered under a name; an empty text where nothing is.
function settings.get(name)
  local _, text = reaper.GetProjExtState(0, SECTION, name)
  return text or ""
end

--- Remember something in the project.
function settings.set(name, text)
  reaper.SetProjExtState(0, SECTION, name, text)
end

local FIELDS = {
  { "control", "Follow the picture, 0 to 1" },
  { "density", "More (2) or fewer (-2) onsets when regenerating" },
  { "instruments", "Instruments (space between)" },
  { "style", "Style" },
  { "key", "Key" },
  { "tempo", "Tempo (empty: from the picture)" },
  { "follow", "Stream follows: mtc, clock, jack or empty" },
  { "from", "Port of REAPER's clock or timecode" },
}

--- Let the person see and change them.
function settings.ask()
  local titles, values = {}, {}
  for index, field in ipairs(FIELDS) do
    titles[index], values[index] = field[2], settings.get(field[1])
  end
  local ok, said = reaper.GetUserInputs(
    "cmt-bridge: settings of this project",
    #FIELDS,
    table.concat(titles, ",") .. ",separator=\n,extrawidth=220",
    table.concat(values, "\n")
  )
  if not ok then
    return
  end
  local index = 0
  for value in (said .. "\n"):gmatch("(.-)\n") do
    index = index + 1
    if FIELDS[index] then
      settings.set(FIELDS[index][1], value:match("^%s*(.-)%s*$"))
    end
  end
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
  local instruments = settings.get("instruments"):gsub("[%s,]+", ",")
  if instruments ~= "" then
    found.instruments = instruments
  end
  return found
end

return settings
