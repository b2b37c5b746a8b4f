"""What starts runs: jobs, and later schedules and sensors."""
