"""From and to other model stores. An import reads a draft; `publish` makes it a version, or says what lacks."""
