-- @description cmt-bridge: Previous take
-- @about Go to the take before.
-- See docs/hosts/reaper.md of cmt-bridge.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("previous")
