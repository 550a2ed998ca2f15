-- When each tick of some music sounds: `division` ticks a quarter, tempos of {tick, microseconds per quarter}.

local MICROSECONDS = 1e6

--- Give two functions: from ticks to seconds of the film, and back.
return function(score)
  local starts, passed = {}, 0
  for index, tempo in ipairs(score.tempos) do
    starts[index] = passed
    local after = score.tempos[index + 1]
    if after then
      passed = passed + (after[1] - tempo[1]) * tempo[2] / score.division / MICROSECONDS
    end
  end
  return function(tick)
    local index = 1
    while score.tempos[index + 1] and score.tempos[index + 1][1] <= tick do
      index = index + 1
    end
    local tempo = score.tempos[index]
    return starts[index] + (tick - tempo[1]) * tempo[2] / score.division / MICROSECONDS
  end, function(seconds)
    local index = 1
    while starts[index + 1] and starts[index + 1] <= seconds do
      index = index + 1
    end
    local tempo = score.tempos[index]
    return tempo[1] + (seconds - starts[index]) * score.division * MICROSECONDS / tempo[2]
  end
end
