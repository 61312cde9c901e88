"""Where data sets come from, one file a source. Only here may a newsgroup's name be known."""
