"""What every room needs and no user asks for: files, fingerprints, checks of arguments, progress, text."""
