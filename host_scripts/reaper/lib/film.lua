-- The video of an item, and where its first picture is in the project.

local work = require("work")

local film = {}

local VIDEO = { mp4 = true, m4v = true, mov = true, mkv = true, webm = true, avi = true, mpg = true, mpeg = true,
  ts = true, mts = true, flv = true, gif = true, wmv = true, ["3gp"] = true, ogv = true }

local function source_file(take)
  local source = reaper.GetMediaItemTake_Source(take)
  while source do
    local parent = reaper.GetMediaSourceParent(source)
    if not parent then
      break
    end
    source = parent
  end
  local name = source and reaper.GetMediaSourceFileName(source, "") or ""
  return name
end

local function of_item(item)
  local take = reaper.GetActiveTake(item)
  if not take or reaper.TakeIsMIDI(take) then
    return nil
  end
  local path = source_file(take)
  if not VIDEO[(path:match("%.(%w+)$") or ""):lower()] then
    return nil
  end
  local rate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  if math.abs(rate - 1) > 1e-9 then
    work.refuse("This video plays at another speed than its own, so no music would fit. Set its playback rate to 1.")
  end
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  return { path = path, start = position - reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS") }
end

--- Give the selected video: its file, and the second of the project at which its first picture would be.
function film.selected()
  for index = 0, reaper.CountSelectedMediaItems(0) - 1 do
    local found = of_item(reaper.GetSelectedMediaItem(0, index))
    if found then
      return found
    end
  end
  return nil
end

--- Give the selected video, or the only one of the project. Raises what to do where that is not clear.
function film.any()
  local found = film.selected()
  if found then
    return found
  end
  local files, count = {}, 0
  for index = 0, reaper.CountMediaItems(0) - 1 do
    local each = of_item(reaper.GetMediaItem(0, index))
    if each then
      if not files[each.path] then
        count = count + 1
      end
      files[each.path], found = true, found or each
    end
  end
  if count == 1 then
    return found
  end
  work.refuse(count == 0 and "There is no video in this project. Insert one, then try again."
    or "There are several videos in this project. Select the one that is meant, then try again.")
end

return film
