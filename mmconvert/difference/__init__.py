"""What is different between two models, whatever formats they come from."""
