-- @description cmt-bridge: Settings of this project
-- @about How to score, and what a stream follows.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("settings")
