ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Stream on or off",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Have the music played live, following this session's MTC, or end that.]],
}

function factory()
  return function()
    --@lib
    run("stream")
  end
end
