"""The panel that fine-tunes: what to suppress and how, masks, captions, and live curves."""
