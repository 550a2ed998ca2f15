ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Previous take",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Go to the take before.]],
}

function factory()
  return function()
    --@lib
    run("previous")
  end
end
