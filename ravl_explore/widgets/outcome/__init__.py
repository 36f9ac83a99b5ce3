"""What fine-tuning changed: runs, measures, images, and where models look."""
