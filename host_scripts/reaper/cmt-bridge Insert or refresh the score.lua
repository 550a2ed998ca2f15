-- @description cmt-bridge: Insert or refresh the score
-- @about Insert the current take at the video's place, or show it there anew.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("insert")
