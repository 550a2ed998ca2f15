-- The video of an item, and where it is in the project.

local project = require("project")
local work = require("work")

local film = {}

local VIDEO = { mp4 = true, m4v = true, mov = true, mkv = true, webm = true, avi = true, mpg = true, mpeg = true,
  ts = true, mts = true, flv = true, gif = true, wmv = true, ["3gp"] = true, ogv = true }
local SAME = 1e-9 -- of a playback rate

-- The file that a take plays, the second of it at which its source begins, and whether it plays backwards.
local function file_of(take)
  local source, begins, turned = reaper.GetMediaItemTake_Source(take), 0, false
  while source do
    local parent = reaper.GetMediaSourceParent(source)
    if not parent then
      break
    end
    local ok, offset, _, reversed = reaper.PCM_Source_GetSectionInfo(source)
    begins = begins + (ok and offset or 0)
    turned = turned or ok and reversed
    source = parent
  end
  return source and reaper.GetMediaSourceFileName(source, "") or "", begins, turned
end

local function of_item(item)
  local take = reaper.GetActiveTake(item)
  if not take or reaper.TakeIsMIDI(take) then
    return nil
  end
  local path, begins, turned = file_of(take)
  if not VIDEO[(path:match("%.(%w+)$") or ""):lower()] then
    return nil
  end
  if turned then
    work.refuse("This video plays backwards, so no music would fit. Turn it round first.")
  end
  local rate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  if math.abs(rate - 1) > SAME or reaper.GetTakeNumStretchMarkers(take) > 0 then
    work.refuse("This video plays at another speed than its own, so no music would fit. Set its playback rate to 1, "
      .. "and take its stretch markers away.")
  end
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local start = position - begins - reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  return { path = path, start = start, item = item }
end

--- Give the selected video: its file, and the second of the project at which its file would begin.
function film.selected()
  for index = 0, reaper.CountSelectedMediaItems(project.id()) - 1 do
    local found = of_item(reaper.GetSelectedMediaItem(project.id(), index))
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
  for index = 0, reaper.CountMediaItems(project.id()) - 1 do
    local each = of_item(reaper.GetMediaItem(project.id(), index))
    if each and not files[each.path] then
      files[each.path], count, found = true, count + 1, found or each
    end
  end
  if count == 1 then
    return found
  end
  work.refuse(count == 0 and "There is no video in this project. Insert one, then try again."
    or "There are several videos in this project. Select the one that is meant, then try again.")
end

--- Give a video as it lies now, since the person may have moved it while its music was made; its picture begins
-- `offset` seconds after its file does.
function film.now(video, offset)
  if not reaper.ValidatePtr2(project.id(), video.item, "MediaItem*") then
    return video
  end
  local ok, found = pcall(of_item, video.item)
  if not (ok and found and found.path == video.path) then
    return video
  end
  found.start = found.start + offset
  return found
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

local function name_of(path)
  return path:match("[^/\\]+$") or path
end

--- Tell whether a path that was remembered means a video, also where the project's folder was moved since.
function film.is(remembered, video)
  return remembered == video.path
    or name_of(remembered) == name_of(video.path) and not exists(remembered)
end

--- Give the name of a video's file.
function film.name(video)
  return name_of(video.path)
end

return film
