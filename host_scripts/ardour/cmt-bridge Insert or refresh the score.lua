ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Insert or refresh the score",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Show the current take; in a session without its tracks, make a snapshot that has them.]],
}

function factory()
  return function()
    --@lib
    run("insert")
  end
end
