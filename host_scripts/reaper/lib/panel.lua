-- A window that stays: all verbs as buttons, what is selected, and how far the work is. It can be docked.

local actions = require("actions")
local film = require("film")
local parts = require("parts")
local project = require("project")
local work = require("work")

local panel = {}

local SECTION = "cmt-bridge"
local WIDTH, HEIGHT = 300, 330
local MARGIN, ROW, GAP = 12, 26, 6
local EVERY = 0.5 -- s, between two looks at the session
local LEFT, RIGHT = 1, 2 -- mouse buttons
local BACKGROUND = 0x202020

local ROWS = {
  { { "score", "Score the selected video" } },
  { { "insert", "Insert or refresh" } },
  { { "regenerate", "Regenerate the time selection" } },
  { { "previous", "◀ Take" }, { "accept", "Accept" }, { "next", "Take ▶" } },
  { { "stream", "Stream on or off" }, { "follow", "Follow" } },
  { { "settings", "Settings …" } },
}

local task = nil
local pressed = 0
local said, looked = "", -math.huge

-- What the verbs would be about, in a line.
local function look()
  if reaper.time_precise() - looked < EVERY then
    return said
  end
  looked = reaper.time_precise()
  project.begin()
  local ok, video = pcall(film.any)
  if not ok then
    said = type(video) == "table" and video.sentence or tostring(video)
    return said
  end
  local shown = parts.shown(parts.of(video))
  said = film.name(video) .. (shown and ", take " .. shown or ", no music yet")
  return said
end

local function inside(x, y, width, height)
  return gfx.mouse_x >= x and gfx.mouse_x < x + width and gfx.mouse_y >= y and gfx.mouse_y < y + height
end

local function button(text, x, y, width)
  local over = not task and inside(x, y, width, ROW)
  local light = over and 0.38 or 0.28
  gfx.set(light, light, light)
  gfx.rect(x, y, width, ROW, 1)
  local bright = task and 0.5 or 0.92
  gfx.set(bright, bright, bright)
  local wide, high = gfx.measurestr(text)
  gfx.x, gfx.y = x + math.max(4, (width - wide) / 2), y + (ROW - high) / 2
  gfx.drawstr(text, 0, x + width - 2, y + ROW)
  return over
end

-- Draw all; give the name of what is under the mouse.
local function draw()
  gfx.clear = BACKGROUND
  local width = math.max(120, gfx.w) - 2 * MARGIN
  local y, under = MARGIN, nil
  gfx.set(0.9, 0.9, 0.9)
  gfx.x, gfx.y = MARGIN, y
  gfx.drawstr(look(), 0, MARGIN + width, y + ROW)
  y = y + ROW
  for _, row in ipairs(ROWS) do
    local each = (width - GAP * (#row - 1)) / #row
    for index, one in ipairs(row) do
      if button(one[2], MARGIN + (index - 1) * (each + GAP), y, each) then
        under = one[1]
      end
    end
    y = y + ROW + GAP
  end
  if task then
    return work.draw(MARGIN, y + GAP, width) and "cancel" or nil
  end
  local last = work.told()
  gfx.set(0.7, 0.7, 0.7)
  gfx.x, gfx.y = MARGIN, y + GAP
  gfx.drawstr(last, 0, MARGIN + width, y + GAP + ROW)
  return under
end

local function keep_dock()
  reaper.SetExtState(SECTION, "dock", string.format("%d", math.floor(gfx.dock(-1))), true)
end

local function menu()
  local docked = math.floor(gfx.dock(-1)) & 1 == 1
  gfx.x, gfx.y = gfx.mouse_x, gfx.mouse_y
  if gfx.showmenu((docked and "!" or "") .. "Dock") == 1 then
    gfx.dock(docked and 0 or 1)
    keep_dock()
  end
end

local function clicked(name)
  if name == "cancel" then
    work.stop(task)
    task = nil
    work.tell("Cancelled.")
  elseif name and not task then
    task = actions.begin(name)
  end
end

local function go_on()
  local under = draw()
  local now = gfx.mouse_cap & (LEFT | RIGHT)
  local new = now & ~pressed
  pressed = now
  if new & LEFT ~= 0 then
    clicked(under)
  elseif new & RIGHT ~= 0 then
    menu()
  end
  if task and not work.step(task) then
    task, looked = nil, -math.huge
  end
  gfx.update()
  if gfx.getchar() >= 0 then
    reaper.defer(go_on)
  else
    keep_dock()
    gfx.quit()
  end
end

--- Open the window; it lives until it is closed. A job that runs then goes on, and its take is there to be inserted.
function panel.open()
  local dock = math.tointeger(tonumber(reaper.GetExtState(SECTION, "dock"))) or 0
  gfx.init("cmt-bridge", WIDTH, HEIGHT, dock)
  gfx.setfont(1, "Arial", 15)
  go_on()
end

return panel
