-- JSON: what the daemon says and is told.

local json = {}

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

--- Stands for JSON's null, which a table cannot hold.
json.null = setmetatable({}, { __tostring = function() return "null" end })

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(letter)
    return string.format("\\u%04x", letter:byte())
  end) .. '"'
end

--- Give a value as JSON; a table is a list if it has [1] or is empty and marked by `json.list`.
function json.encode(value)
  local kind = type(value)
  if value == json.null or value == nil then
    return "null"
  elseif kind == "string" then
    return quoted(value)
  elseif kind == "number" then
    if value == math.floor(value) and math.abs(value) < 2 ^ 53 then
      return string.format("%d", math.floor(value))
    end
    return (string.format("%.17g", value):gsub(",", "."))
  elseif kind == "boolean" then
    return tostring(value)
  end
  local parts = {}
  if #value > 0 then
    for _, each in ipairs(value) do
      parts[#parts + 1] = json.encode(each)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local names = {}
  for name in pairs(value) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    parts[#parts + 1] = quoted(name) .. ":" .. json.encode(value[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function fail(text, at)
  error(string.format("no JSON at byte %d: %s", at, text:sub(at, at + 20)), 0)
end

local function skip(text, at)
  return text:match("^[ \n\r\t]*()", at)
end

local read

local function read_text(text, at)
  local parts = {}
  at = at + 1
  while true do
    local plain, stop = text:match('^([^"\\]*)()', at)
    parts[#parts + 1] = plain
    local letter = text:sub(stop, stop)
    if letter == '"' then
      return table.concat(parts), stop + 1
    elseif letter == "" then
      fail(text, stop)
    end
    local escape = text:sub(stop + 1, stop + 1)
    if escape == "u" then
      local code = tonumber(text:match("^%x%x%x%x", stop + 2) or fail(text, stop), 16)
      at = stop + 6
      if code >= 0xD800 and code < 0xDC00 then
        local low = tonumber(text:match("^\\u(%x%x%x%x)", at) or "", 16)
        if low and low >= 0xDC00 and low < 0xE000 then
          code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)
          at = at + 6
        end
      end
      parts[#parts + 1] = utf8.char(code)
    else
      parts[#parts + 1] = ESCAPES[escape] or fail(text, stop)
      at = stop + 2
    end
  end
end

local function read_list(text, at)
  local found = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then
    return found, at + 1
  end
  while true do
    found[#found + 1], at = read(text, at)
    at = skip(text, at)
    local letter = text:sub(at, at)
    if letter == "]" then
      return found, at + 1
    elseif letter ~= "," then
      fail(text, at)
    end
    at = at + 1
  end
end

local function read_object(text, at)
  local found = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then
    return found, at + 1
  end
  while true do
    at = skip(text, at)
    if text:sub(at, at) ~= '"' then
      fail(text, at)
    end
    local name
    name, at = read_text(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then
      fail(text, at)
    end
    found[name], at = read(text, at + 1)
    at = skip(text, at)
    local letter = text:sub(at, at)
    if letter == "}" then
      return found, at + 1
    elseif letter ~= "," then
      fail(text, at)
    end
    at = at + 1
  end
end

function read(text, at)
  at = skip(text, at)
  local letter = text:sub(at, at)
  if letter == "{" then
    return read_object(text, at)
  elseif letter == "[" then
    return read_list(text, at)
  elseif letter == '"' then
    return read_text(text, at)
  end
  local word = text:match("^%a+", at)
  if word == "true" or word == "false" then
    return word == "true", at + #word
  elseif word == "null" then
    return json.null, at + 4
  end
  local number = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if not number or not tonumber(number) then
    fail(text, at)
  end
  return math.tointeger(tonumber(number)) or tonumber(number), at + #number
end

--- Read JSON; raises an error with a sentence where it is none.
function json.decode(text)
  local value, at = read(text, 1)
  if skip(text, at) <= #text then
    fail(text, at)
  end
  return value
end

return json
