"""Planning a query whole and answering it in waves of batched calls."""
