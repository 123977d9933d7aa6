"""Pictures, films, charts, and the pages that show them."""
