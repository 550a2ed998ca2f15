-- @description cmt-bridge: Regenerate the time selection on the selected tracks
-- @about Compose bars anew; edited notes go along, and the result is another take.
-- See `cmt-bridge hosts show reaper`.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = here .. "lib/?.lua;" .. package.path
require("actions").run("regenerate")
