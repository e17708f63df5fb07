"""One module for each reviewed migration, in the order of their `down_revision`."""
