-- @description cmt-bridge: Panel
-- @about A window, which can be docked, with all actions and how far the work is.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("panel").open()
