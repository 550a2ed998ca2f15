ardour {
  ["type"] = "EditorAction",
  name = "cmt-bridge: Regenerate the range on the selected tracks",
  license = "MIT",
  author = "cmt-bridge",
  description = [[Compose bars anew; edited notes go along, and the result is another playlist.]],
}

function factory()
  return function()
    --@lib
    run("regenerate")
  end
end
