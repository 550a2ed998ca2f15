-- @description cmt-bridge: Stream on or off
-- @about Have the music played live, or end that.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("stream")
