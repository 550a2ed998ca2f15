-- @description cmt-bridge: Accept the take
-- @about Accept the take that is shown.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("accept")
