-- Work that waits without freezing REAPER: a coroutine that is gone on with whenever REAPER has time.

local work = {}

local WIDTH, HEIGHT = 380, 74
local SHOW_AFTER = 0.6 -- s; what is done sooner needs no window
local ESCAPE = 27

local shown = { text = "", share = 0 }

--- Say what is being done, and how much of it.
function work.tell(text, share)
  shown.text, shown.share = text, math.max(0, math.min(1, share or 0))
end

--- Give what was said last, and how much is done.
function work.told()
  return shown.text, shown.share
end

--- Go on as soon as `condition` gives something, and give that; nil after `seconds`.
function work.wait(condition, seconds)
  local stop = reaper.time_precise() + (seconds or math.huge)
  while true do
    local found = condition()
    if found then
      return found
    elseif reaper.time_precise() > stop then
      return nil
    end
    coroutine.yield()
  end
end

--- Let some time pass.
function work.pause(seconds)
  work.wait(function() return false end, seconds)
end

--- Tell the person, and end the work: `refuse` is no fault of ours.
function work.refuse(text)
  error({ sentence = text }, 0)
end

--- Begin some work: `body` is given a table in which it may leave what `cancel` has to know.
function work.begin(body, cancel)
  work.tell("", 0)
  return { thread = coroutine.create(body), running = {}, cancel = cancel }
end

--- Go on with it; tell whether there is more to do. What it came to grief of is shown.
function work.step(task)
  local ok, fault = coroutine.resume(task.thread, task.running)
  if coroutine.status(task.thread) ~= "dead" then
    return true
  end
  if not ok then
    local text = type(fault) == "table" and fault.sentence or "Something unforeseen went wrong: " .. tostring(fault)
    reaper.ShowMessageBox(text, "cmt-bridge", 0)
  end
  return false
end

--- End it.
function work.stop(task)
  if task.cancel then
    task.cancel(task.running)
  end
end

--- Draw how far the work is, and a button to end it; give whether the mouse is over that.
function work.draw(x, y, width)
  gfx.set(0.9, 0.9, 0.9)
  gfx.x, gfx.y = x, y
  gfx.drawstr(shown.text)
  gfx.set(0.3, 0.3, 0.3)
  gfx.rect(x, y + 30, width - 90, 16, 1)
  gfx.set(0.35, 0.6, 0.85)
  gfx.rect(x, y + 30, math.floor((width - 90) * shown.share), 16, 1)
  gfx.set(0.9, 0.9, 0.9)
  gfx.rect(x + width - 76, y + 28, 76, 20, 0)
  gfx.x, gfx.y = x + width - 62, y + 31
  gfx.drawstr("Cancel")
  local over = gfx.mouse_x >= x + width - 76 and gfx.mouse_x < x + width
  return over and gfx.mouse_y >= y + 28 and gfx.mouse_y < y + 48
end

--- Do some work to its end, with a window where it takes long.
function work.run(body, cancel)
  local began = reaper.time_precise()
  local window = false
  local task = work.begin(body, cancel)
  reaper.defer(function() end) -- of a script that defers nothing REAPER makes a step to undo
  local function step()
    if window then
      local over = work.draw(12, 10, WIDTH - 24) and gfx.mouse_cap & 1 == 1
      gfx.update()
      local key = gfx.getchar()
      if over or key == ESCAPE or key < 0 then
        gfx.quit()
        work.stop(task)
        return
      end
    end
    if work.step(task) then
      if not window and reaper.time_precise() - began > SHOW_AFTER then
        window = true
        gfx.clear = 0x202020
        gfx.init("cmt-bridge", WIDTH, HEIGHT)
        gfx.setfont(1, "Arial", 15)
      end
      reaper.defer(step)
    elseif window then
      gfx.quit()
    end
  end
  step()
end

return work
