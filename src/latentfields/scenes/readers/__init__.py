"""From the files of a data set to a `Capture`: one reader per format."""
