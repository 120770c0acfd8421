"""Labs: a live sandbox is broken unseen, a trainee finds and mends it, and only a heard call passes."""
