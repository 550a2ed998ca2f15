"""Project folders: NAME.cmt beside a video, with numbered takes that never change and one that is current.

    clip.cmt/project.json    which videos it is for
    clip.cmt/history.json    every choice of a take, so that it can be undone, and which takes were accepted or rejected
    clip.cmt/metadata.json   copies of the current take's, for those who look for them here
    clip.cmt/score.json
    clip.cmt/take 1/         clip.mid, score.json, metadata.json, take.json

A take is there as soon as its folder is. All else can be made again from the takes, so whatever moment a process is
killed at, nothing is lost and nothing is half there. What is dropped where a session wants it is a copy of the current
take's file; it is replaced as long as it is such a copy, and left alone once somebody edited it.
"""
