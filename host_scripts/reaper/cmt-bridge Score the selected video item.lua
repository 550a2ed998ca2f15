-- @description cmt-bridge: Score the selected video item
-- @about Compose music for the selected video and insert it at its place.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("score")
