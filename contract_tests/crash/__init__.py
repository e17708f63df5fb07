"""Workers that are killed while they read a faulty source: whatever happens, nothing is lost and nothing is there twice."""
