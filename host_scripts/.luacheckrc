-- Scripts of REAPER run in Lua 5.3 and 5.4, those of Ardour in 5.3, with what the programs give them.
std = "lua53"
read_globals = { "reaper" }
globals = { "gfx" }
max_line_length = 120
files["ardour"] = {
  read_globals = { "ardour", "json", "clock", "smf", "where", "settings_table", "Session", "Editor", "LuaDialog", "ARDOUR", "Temporal" },
  globals = { "factory", "run" },
}
files["ardour/lib.lua"] = { unused = false }
