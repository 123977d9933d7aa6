"""Studies: the tables of the papers at several scales, each one configuration, one folder and one command."""
