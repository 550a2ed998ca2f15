ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Accept the take",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Accept the current take.]],
}

function factory()
  return function()
    --@lib
    run("accept")
  end
end
