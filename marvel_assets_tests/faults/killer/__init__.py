"""What a child process loads through PYTHONPATH to die at a chosen moment."""
