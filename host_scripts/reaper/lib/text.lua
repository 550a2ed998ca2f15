-- Texts as a project file keeps them: no space, quote or line end, which a line of a project file cannot all hold.

local text = {}

--- Give a text in letters that a project file cannot mistake.
function text.plain(said)
  return (said:gsub("[^%w_.~{}/:+-]", function(letter)
    return string.format("%%%02X", letter:byte())
  end))
end

--- Give what `plain` was made of.
function text.of(plain)
  return (plain:gsub("%%(%x%x)", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

--- Give a text as one word of a project file: between marks that do not come in it.
function text.quoted(said)
  said = said:gsub("%c", " ")
  for _, mark in ipairs({ '"', "'", "`" }) do
    if not said:find(mark, 1, true) then
      return mark .. said .. mark
    end
  end
  return "`" .. said:gsub("`", "'") .. "`"
end

return text
