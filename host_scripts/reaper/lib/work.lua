-- Work that waits without freezing REAPER: a coroutine that is gone on with whenever REAPER has time.

local work = {}

local WIDTH, HEIGHT = 380, 74
local SHOW_AFTER = 0.6 -- s; what is done sooner needs no window

local shown = { text = "", share = 0 }

--- Say what is being done, and how much of it.
function work.tell(text, share)
  shown.text, shown.share = text, math.max(0, math.min(1, share or 0))
end

--- Go on as soon as `condition` gives something, and give that; nil after `seconds`. Raises "cancelled".
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

local function draw()
  gfx.clear = 0x202020
  gfx.set(0.9, 0.9, 0.9)
  gfx.x, gfx.y = 12, 10
  gfx.drawstr(shown.text)
  gfx.set(0.3, 0.3, 0.3)
  gfx.rect(12, 40, WIDTH - 110, 16, 1)
  gfx.set(0.35, 0.6, 0.85)
  gfx.rect(12, 40, math.floor((WIDTH - 110) * shown.share), 16, 1)
  gfx.set(0.9, 0.9, 0.9)
  gfx.rect(WIDTH - 88, 38, 76, 20, 0)
  gfx.x, gfx.y = WIDTH - 74, 41
  gfx.drawstr("Cancel")
  gfx.update()
end

local function cancelled()
  local over = gfx.mouse_cap & 1 == 1 and gfx.mouse_x > WIDTH - 88 and gfx.mouse_y > 38 and gfx.mouse_y < 58
  local key = gfx.getchar()
  return over or key == 27 or key < 0
end

--- Do some work; `cancel` is called where the person has enough of it.
function work.run(body, cancel)
  local began = reaper.time_precise()
  local window = false
  local thread = coroutine.create(body)
  local function step()
    if window and cancelled() then
      gfx.quit()
      if cancel then
        cancel()
      end
      return
    end
    local ok, fault = coroutine.resume(thread)
    if coroutine.status(thread) ~= "dead" then
      if not window and reaper.time_precise() - began > SHOW_AFTER then
        window = true
        gfx.init("cmt-bridge", WIDTH, HEIGHT)
        gfx.setfont(1, "Arial", 15)
      end
      if window then
        draw()
      end
      reaper.defer(step)
      return
    end
    if window then
      gfx.quit()
    end
    if not ok then
      local text = type(fault) == "table" and fault.sentence or "Something unforeseen went wrong: " .. tostring(fault)
      reaper.ShowMessageBox(text, "cmt-bridge", 0)
    end
  end
  step()
end

return work
