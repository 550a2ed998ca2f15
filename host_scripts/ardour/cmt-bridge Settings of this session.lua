ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Settings of this session",
  license = "MIT",
  author = "cmt-bridge",
  description = [[How to compose for this session: by the picture or freely, instruments, style, key, tempo.]],
}

function factory()
  return function()
    --@lib
    run("settings")
  end
end
