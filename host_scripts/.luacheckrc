-- Scripts of REAPER run in Lua 5.3 and 5.4, with what the program gives them.
std = "lua53"
read_globals = { "reaper" }
globals = { "gfx" }
max_line_length = 120
