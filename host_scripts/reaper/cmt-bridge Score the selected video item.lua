-- @description cmt-bridge: Score the selected video item
-- @about Compose music for the selected video and insert it at its place.
-- See docs/hosts/reaper.md of cmt-bridge.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("score")
