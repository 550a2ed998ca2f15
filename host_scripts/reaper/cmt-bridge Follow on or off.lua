-- @description cmt-bridge: Follow on or off
-- @about Let the stream follow REAPER's timecode or clock, or go by itself.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("follow")
