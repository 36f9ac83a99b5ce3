"""What a search found: map, table and crops, linked."""
