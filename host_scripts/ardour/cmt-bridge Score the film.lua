ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Score the film",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Compose music for the film of this session; it comes as playlists of the tracks that `export` made.]],
}

function factory()
  return function()
    --@lib
    run("score")
  end
end
