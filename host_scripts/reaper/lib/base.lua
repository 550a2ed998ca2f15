-- What is in the session now, as a MIDI file: what somebody edited goes along when bars are composed anew.

local clock = require("clock")
local music = require("music")
local smf = require("smf")
local work = require("work")

local base = {}

-- The messages of a take at the ticks of the score.
local function messages(take, film, ticks)
  local ok, data = reaper.MIDI_GetAllEvts(take, "")
  if not ok then
    return {}
  end
  local found, at, ppq = {}, 1, 0
  while at < #data do
    local offset, flags, message
    offset, flags, message, at = string.unpack("i4Bs4", data, at)
    ppq = ppq + offset
    local muted, last = flags & 2 == 2, at >= #data -- the last one is REAPER's own end
    if #message > 0 and not muted and not last and message:byte(1) <= 0xF0 then
      local seconds = reaper.MIDI_GetProjTimeFromPPQPos(take, ppq) - film.start
      local said = message:byte(1) == 0xF0 and smf.exclusive(message) or message
      found[#found + 1] = { math.max(0, math.floor(ticks(seconds) + 0.5)), said }
    end
  end
  return found
end

--- Write what our items hold to a file; `score` is the take that gives tempo map and division.
function base.write(path, film, score)
  local _, ticks = clock(score)
  local tracks = {}
  music.each(film.path, function(item, _, name)
    local take = reaper.GetActiveTake(item)
    if take and reaper.TakeIsMIDI(take) then
      tracks[#tracks + 1] = { name, messages(take, film, ticks) }
    end
  end)
  local file = io.open(path, "wb")
  if not file then
    work.refuse("Cannot write " .. path .. ". Is the disk full, or the folder closed to you?")
  end
  file:write(smf.file(score, ticks, tracks))
  file:close()
end

return base
