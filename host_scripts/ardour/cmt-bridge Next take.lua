ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Next take",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Go to the next take that was not rejected.]],
}

function factory()
  return function()
    --@lib
    run("next")
  end
end
