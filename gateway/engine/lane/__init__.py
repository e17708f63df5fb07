"""A short way for operations that one look-up answers, or one and those its records refer to: from bytes to the answer."""
