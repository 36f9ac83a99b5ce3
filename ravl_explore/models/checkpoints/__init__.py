"""Opening checkpoints: what a file or folder holds, told by its shapes and settings, whatever library wrote it."""
