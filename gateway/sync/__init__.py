"""Data return 数据回流: what changed in a source flows into the store, page by page."""
