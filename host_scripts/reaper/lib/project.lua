-- The project that an action was begun in: it stays the one that is meant, whichever tab the person goes to meanwhile.

local work = require("work")

local project = {}

local KIND = "ReaProject*"

local begun = nil

local function current()
  local found = reaper.EnumProjects(-1)
  return found
end

--- Mean the project that is in front from now on.
function project.begin()
  begun = current()
end

--- Give the project that is meant.
function project.id()
  return begun or 0
end

--- Call a function while the project that is meant is in front. Raises that it was closed.
function project.within(call)
  if begun and not reaper.ValidatePtr(begun, KIND) then
    work.refuse("The project was closed meanwhile. The music is made: insert it when the project is open again.")
  end
  local front = current()
  local elsewhere = begun ~= nil and front ~= begun
  if elsewhere then
    reaper.SelectProjectInstance(begun)
  end
  local ok, fault = pcall(call)
  if elsewhere then
    reaper.SelectProjectInstance(front)
  end
  if not ok then
    error(fault, 0)
  end
end

--- Change something as one step to undo, also where it fails half way.
function project.change(title, call)
  project.within(function()
    reaper.Undo_BeginBlock2(project.id())
    reaper.PreventUIRefresh(1)
    local ok, fault = pcall(call)
    reaper.PreventUIRefresh(-1)
    reaper.UpdateArrange()
    reaper.Undo_EndBlock2(project.id(), title, -1)
    if not ok then
      error(fault, 0)
    end
  end)
end

return project
