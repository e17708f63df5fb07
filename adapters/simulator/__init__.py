"""A stand-in for any mapped source: served from its samples, in its own wire protocol, over a real socket."""
