"""What the project costs over the floor below it, as ratios that are taken in one run. ``make bench`` prints them."""
