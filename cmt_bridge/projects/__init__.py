"""Projects of DAWs and lists of hit points: the current take, laid out for a session."""
